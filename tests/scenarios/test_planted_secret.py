"""A secret that a tool is handed is found nowhere: whatever the tool does, through any door."""

import base64
import io
import json
import logging
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import quote

import httpx2
import psycopg
import pytest
import structlog
from psycopg import sql
from pydantic import Field

from core.domain.approval import Answer
from core.domain.eraser import ERASED
from core.domain.run import RunStatus
from core.domain.tool import CallState, Change, Preview, Risk
from core.errors import Forbidden, ToolFailed
from core.telemetry.logs import configure_logs
from core.tools.authoring import (
    Arguments,
    BoundPack,
    Context,
    Done,
    EffectContext,
    Output,
    Pack,
    tool,
)
from sallyport.settings import Settings
from tests.command_line import logs_as_they_were
from tests.databases import Urls
from tests.loopback import http_client
from tests.mcp_door import McpDoor, mcp_door
from tests.nouns import AGENT
from tests.rest import application, listening
from tests.workshop import Line, Lines, Workplace, Workshop, use
from tests.world import Company, settings_for

SECRET = 'Pl4nt3d/s€cret+0f=acme?&"quoted" and more'
THEIRS = "another-secret-of-alice-alone"
FORMS = (
    SECRET,
    quote(SECRET, safe=""),
    quote(SECRET),
    json.dumps(SECRET)[1:-1],
    base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1],
    base64.b64encode(f"user:{SECRET}".encode()).decode().rstrip("=")[7:-1],
    SECRET.encode().hex(),
    THEIRS,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("core.tools.leaky")


@dataclass(slots=True)
class Leaks:
    """What the tools were handed, in the order of their calls."""

    handed: list[str] = field(default_factory=list[str])


class Ask(Arguments):
    name: str = Field("service", max_length=60, description="Which credential.")
    how: Literal["echo", "fail", "refuse", "crash", "chain"] = Field(
        "echo", description="What to do with it."
    )


class Echo(Output):
    said: list[str]
    headers: dict[str, str]


def leak(secret: str, *, how: str) -> Echo:
    """Do the worst that a tool can do with a secret, in each of its ways."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    repeated = [secret, f"token={quote(secret, safe='')}", json.dumps({"k": secret})]
    _log.warning("leaky.tried", secret_of=secret, url=f"https://x.test/?k={quote(secret)}")
    logging.getLogger("somebody.else").error("sent %s and %r", basic, secret)
    match how:
        case "fail":
            raise ToolFailed("not_found", noun=secret, tried=repeated)
        case "refuse":
            raise Forbidden("policy_denied", reason=f"because of {secret}")
        case "crash":
            fall(secret)
        case "chain":
            try:
                fall(secret)
            except RuntimeError:
                _log.exception("leaky.failed", about=secret)
                raise
        case _:
            pass
    return Echo(said=repeated, headers={"authorization": f"Basic {basic}", secret: "a key"})


def fall(secret: str) -> NoReturn:
    raise RuntimeError(secret)


async def what_it_leaks(arguments: Ask, context: Context[Leaks]) -> Preview:
    """Show the secret to whoever is asked."""
    secret = await context.credential(arguments.name)
    return Preview(
        summary=f"Send {secret}.",
        target=secret,
        changes=(Change(field="secret", before=None, after=secret),),
        volatile={"last": secret},
    )


@tool(risk=Risk.SAFE)
async def peek(arguments: Ask, context: Context[Leaks]) -> Echo:
    """Use a credential to look. Returns everything."""
    secret = await context.credential(arguments.name)
    context.store.handed.append(secret)
    return leak(secret, how=arguments.how)


@tool(risk=Risk.CAUTIOUS, preview=what_it_leaks, undo="poke")
async def poke(arguments: Ask, context: EffectContext[Leaks]) -> Done[Echo]:
    """Use a credential to act. Returns everything."""
    secret = await context.credential(arguments.name)
    context.store.handed.append(secret)
    return Done(leak(secret, how=arguments.how), undo=Ask(name=secret, how="echo"))


@tool(risk=Risk.DESTRUCTIVE, preview=what_it_leaks)
async def smear(arguments: Ask, context: EffectContext[Leaks]) -> Echo:
    """Use a credential to destroy. Returns everything."""
    secret = await context.credential(arguments.name)
    context.store.handed.append(secret)
    return leak(secret, how=arguments.how)


LEAKY: Pack[Leaks] = Pack(name="leaky", tools=(peek, poke, smear))
WAYS = ("echo", "fail", "refuse", "crash", "chain")


class Careless(Workshop):
    """The real assembly with tools that spill whatever they are handed."""

    def __init__(self, settings: Settings, *, url: str) -> None:
        self.leaks = Leaks()
        super().__init__(settings, url=url, lines=Lines(), agent=AGENT)

    def packs(self) -> Sequence[BoundPack]:
        return (*super().packs(), LEAKY.bound(self.leaks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A company with a secret in its vault, and everything that could show it."""

    place: Workplace
    leaks: Leaks
    company: Company
    urls: Urls
    logs: io.StringIO
    told: list[str] = field(default_factory=list[str])

    def says(self, *calls: Line) -> None:
        """Have the model make these calls, and be done."""
        self.place.lines.lines = (*calls, "Done.")

    def shown(self) -> Mapping[str, str]:
        """Return everything that anybody could read, by where it is."""
        return {
            **everything_in(self.urls),
            "logs": self.logs.getvalue(),
            "prompts": repr(self.place.lines.prompts),
            "answers": "\n".join(self.told),
        }

    def check(self) -> None:
        """See that the secret was in use, that it was blotted out, and that it is nowhere."""
        shown = self.shown()
        found = [(form, where) for where, text in shown.items() for form in FORMS if form in text]
        assert found == []
        assert self.leaks.handed
        assert ERASED in shown["logs"]

    @asynccontextmanager
    async def doors(self) -> AsyncGenerator[tuple[McpDoor, str]]:
        """Serve MCP and REST, and drive what is due."""
        async with (
            mcp_door(self.place) as mcp,
            listening(application(self.place, app=self.place.app)) as url,
        ):
            yield mcp, url


@pytest.fixture
def logs() -> Generator[io.StringIO]:
    """Give the test what this process logs, as it would stand on standard error."""
    stream = io.StringIO()
    with logs_as_they_were():
        configure_logs(json=True, level="debug", stream=stream)
        yield stream
    structlog.contextvars.clear_contextvars()


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path, logs: io.StringIO) -> AsyncGenerator[Scene]:
    script = tmp_path / "script.yaml"
    script.write_text("scripts: [{contains: x, turns: [{say: x}]}]", encoding="utf-8")
    settings = settings_for(tmp_path, script=script)
    parts = Careless(settings, url=urls.app)
    place = Workplace(parts)
    company = await place.company()
    await parts.vault.put(company.tenant.id, name="service", secret=SECRET)
    await parts.vault.put(
        company.tenant.id, name="own", secret=THEIRS, owner=company.member.principal.id
    )
    try:
        yield Scene(place=place, leaks=parts.leaks, company=company, urls=urls, logs=logs)
    finally:
        await parts.database.close()


def everything_in(urls: Urls) -> dict[str, str]:
    """Return every row of every table there is, by table, as text."""
    with psycopg.connect(urls.privileged) as connection:
        tables = connection.execute(
            """select n.nspname, c.relname from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               where c.relkind in ('r', 'p')
                 and n.nspname not in ('pg_catalog', 'information_schema')
               order by 1, 2"""
        ).fetchall()
        kept: dict[str, str] = {}
        for schema, table in tables:
            query = sql.SQL("select t::text, to_jsonb(t)::text from {} t")
            rows = connection.execute(query.format(sql.Identifier(schema, table))).fetchall()
            kept[f"{schema}.{table}"] = "\n".join(text for row in rows for text in row)
    return kept


async def test_a_run_shows_it_to_nobody_whatever_its_tools_do(scene: Scene) -> None:
    scene.says(*([use(name, how=how) for how in WAYS] for name in ("peek", "poke")))
    run = await scene.place.run(scene.company.member, "Leak.")

    assert run.status is RunStatus.COMPLETED
    calls = await scene.place.calls(scene.company.member, run)
    scene.told.extend([repr(run), repr(calls)])
    scene.check()
    assert set(scene.leaks.handed) == {SECRET}
    assert len(calls) == 2 * len(WAYS)
    kept = scene.shown()
    for table in ("tool_calls", "run_events", "audit_records"):
        assert ERASED in kept[f"public.{table}"], table
    assert ERASED in kept["prompts"]
    assert len(scene.place.lines.prompts) == 3


async def test_no_front_door_shows_it(scene: Scene) -> None:
    calls = [(name, how) for name in ("peek", "poke") for how in WAYS]
    token = await scene.place.token(scene.company.admin.principal)
    headers = {"authorization": f"Bearer {token}"}
    async with (
        scene.doors() as (mcp, url),
        mcp.client(scene.company.admin) as client,
        http_client(base_url=f"{url}/api/v1", headers=headers, timeout=30) as http,
    ):
        for name, how in calls:
            scene.told.append(repr(await client.call_tool(name, {"how": how})))
            made = await http.post(f"/tools/{name}/calls", json={"arguments": {"how": how}})
            scene.told.append(made.text + repr(made.headers))
        for path in ("/audit", "/runs", "/usage"):
            listed = await http.get(path)
            assert listed.status_code == httpx2.codes.OK, listed.text
            scene.told.append(listed.text)
    scene.check()
    assert scene.leaks.handed == [SECRET] * 2 * len(calls)


async def test_it_is_not_shown_to_whoever_is_asked(scene: Scene) -> None:
    scene.says([use("smear")])
    run = await scene.place.run(scene.company.member, "Leak.")
    (question,) = await scene.place.pending(scene.company.approver)
    assert question.preview["summary"] == f"Send {ERASED}."
    await scene.place.app.decide(
        scene.company.approver,
        approval_id=question.id,
        answer=Answer.APPROVE,
        digest=question.digest,
    )
    await scene.place.drive()
    (call,) = await scene.place.calls(scene.company.member, run)
    assert call.state is CallState.SUCCEEDED
    scene.told.append(repr((question, call)))
    scene.check()


async def test_a_person_s_own_is_handed_to_that_person_s_calls_only(scene: Scene) -> None:
    scene.says([use("peek", name="own")])
    for person, states in (
        (scene.company.admin, ["failed"]),
        (scene.company.member, ["succeeded"]),
    ):
        run = await scene.place.run(person, "Leak.")
        calls = await scene.place.calls(person, run)
        assert [record.state for record in calls] == states
        scene.told.append(repr(calls))
    assert "credential_missing" in "\n".join(scene.told)
    assert scene.leaks.handed == [THEIRS]
    scene.check()


async def test_another_company_s_is_not_there(scene: Scene) -> None:
    globex = await scene.place.company("globex")
    scene.says([use("peek")])
    run = await scene.place.run(globex.member, "Leak.")
    (call,) = await scene.place.calls(globex.member, run)
    assert "credential_missing" in repr(call.result)
    assert scene.leaks.handed == []


def test_the_forms_are_looked_for_at_all() -> None:
    assert all(len(form) >= 20 for form in FORMS)
    assert len(set(FORMS)) == len(FORMS)
