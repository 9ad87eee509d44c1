"""The demo as a process: its own data, a server on this machine only, the story, then at rest."""

import asyncio
import fcntl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx2
import structlog

from core.domain.audit_chain import Verification
from core.domain.canonical import JsonObject
from core.domain.principal import Audience, Principal
from core.errors import Misconfigured, SallyportError
from core.identity.keys import TrustedKeys
from sallyport.answering import address_of, answer_http
from sallyport.demo.people import lay_out
from sallyport.demo.stage import Stage
from sallyport.demo.story import Cast, Story
from sallyport.demo.visitor import Visitor
from sallyport.processes import Process, process
from sallyport.settings import ModelSettings, Settings, StoreSettings

_FOLDER = "demo"
_LOCK = "story.lock"
_TOKEN_LIVES = timedelta(days=1)
_STORY_SECONDS = 120.0
_LOCK_LOOK_SECONDS = 0.2
_MICROS = 1_000_000

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRest:
    """What stays when the story is told: where it is, and a token for Alice's MCP clients."""

    url: str
    mcp_token: str
    data_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was seen to happen, step by step."""

    steps: dict[str, bool]
    run_id: str | None
    audit_records: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every step happened."""
        return all(self.steps.values())

    def as_json(self) -> JsonObject:
        """Return the outcome as the demo prints it."""
        return {
            "ok": self.ok,
            "steps": self.steps,
            "run_id": self.run_id,
            "audit_records": self.audit_records,
            "seconds": round(self.seconds, 2),
        }


def settings_of_demo(read: Settings) -> Settings:
    """Return the demo's settings: data of its own, the scripted model, this machine only.

    Raises:
        Misconfigured: ``demo_stays_here`` where others are to reach us.
    """
    if read.http.public_url is not None:
        raise Misconfigured("demo_stays_here", key="SALLYPORT_PUBLIC_URL")
    if not _is_loopback(read.http.host):
        raise Misconfigured("demo_stays_here", key="SALLYPORT_HOST")
    return Settings(
        store=StoreSettings(data_dir=read.store.data_dir / _FOLDER),
        http=read.http,
        models=ModelSettings(llm=("scripted",)),
        log=read.log,
    )


async def play(
    settings: Settings, *, stage: Stage, at_rest: Callable[[AtRest, Outcome], None] | None
) -> Outcome:
    """Tell the story against a server of our own, and return what was seen.

    Where ``at_rest`` is given, it is told where we are once the story is over, and we stay there
    until cancelled.

    Raises:
        Misconfigured, Unavailable: the server does not start.
    """
    async with process(settings, working=True) as here, asyncio.TaskGroup() as group:
        began = here.parts.clock.monotonic()
        opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = group.create_task(_answer(here, ready=opened.set_result), name="http")
        url = address_of(settings.http, port=await opened)
        async with _on_stage(here, url=url, stage=stage) as (story, mcp_token):
            await _told(story)
        outcome = Outcome(
            steps=story.steps,
            run_id=str(story.run_id) if story.run_id else None,
            audit_records=story.audit_records,
            seconds=here.parts.clock.monotonic() - began,
        )
        if at_rest is not None:
            data_dir = settings.store.data_dir.absolute()
            at_rest(AtRest(url=url, mcp_token=mcp_token, data_dir=data_dir), outcome)
            await asyncio.Event().wait()
        server.cancel()
    return outcome


async def _answer(here: Process, *, ready: Callable[[int], object]) -> None:
    """Answer at the port of the settings; at a free one where nobody chose that."""
    http = here.parts.settings.http
    try:
        await answer_http(here, port=http.port, ready=ready)
    except Misconfigured as error:
        if error.code != "port_taken" or "port" in http.model_fields_set:
            raise
        await answer_http(here, port=0, ready=ready)


@asynccontextmanager
async def _on_stage(here: Process, *, url: str, stage: Stage) -> AsyncGenerator[tuple[Story, str]]:
    """Lay the companies out, and have everybody at the front door with a token of their own."""
    parts = here.parts
    today = parts.clock.now().date()
    async with _alone(parts.settings.store.data_dir / _LOCK), AsyncExitStack() as stack:
        people = await lay_out(parts, today=today)

        async def token(person: Principal, audience: Audience) -> str:
            return await parts.tokens.issue(person, audience=audience, ttl=_TOKEN_LIVES)

        async def visitor(person: Principal) -> Visitor:
            given = await token(person, Audience.API)
            return await stack.enter_async_context(Visitor.at(url, token=given))

        async def verify() -> Verification:
            keys = TrustedKeys([parts.signer.public_pem()])
            return await parts.audit.verify(people.acme, keys=keys)

        mcp_token = await token(people.alice, Audience.MCP)
        cast = Cast(
            alice=await visitor(people.alice),
            bob=await visitor(people.bob),
            carol=await visitor(people.carol),
            dave=await visitor(people.dave),
            model=await stack.enter_async_context(Visitor.at(url, token=mcp_token)),
        )
        yield Story(cast, stage=stage, today=today, verify=verify), mcp_token


async def _told(story: Story) -> None:
    """Tell the story; where it breaks off, the steps behind that have not happened."""
    try:
        await story.tell()
    except (httpx2.HTTPError, SallyportError, LookupError, ValueError, TimeoutError) as error:
        _log.exception("demo.broke_off", error=type(error).__name__)


@asynccontextmanager
async def _alone(path: Path) -> AsyncGenerator[None]:
    """Wait until no other demo tells its story on the same data."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_LOOK_SECONDS)
        yield


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
