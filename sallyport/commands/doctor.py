"""A look at this installation: what is well, and what to do about what is not."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import click
from rich.text import Text

from core.domain.chat import Surface, Workspace
from core.errors import Misconfigured, SallyportError
from core.store.confinement import confinement_of
from core.words import sentence_of
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering
from sallyport.driving import worker_is_alive
from sallyport.settings import Settings
from sallyport.storage import Storage

_LETTERS = 100
_OLDEST, _NEWEST = (3, 11), (3, 13)


class _Health(StrEnum):
    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    check: str
    health: _Health
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    """How a surface is told of: ``there`` takes a number. No ``gone``: nobody leaves unasked."""

    nowhere: str
    there: str
    gone: str = ""


_SPOKEN: Final[Mapping[Surface, _Spoken]] = {
    Surface.SLACK: _Spoken(
        nowhere="It is set up, and the app is in no workspace yet. An admin opens /slack/install.",
        gone="The app has left",
        there="The app is in {} of Slack's workspaces",
    ),
    Surface.TEAMS: _Spoken(
        nowhere="It is set up, and no Entra tenant is let in yet: sallyport teams allow.",
        there="People of {} of Entra's tenants are let in",
    ),
}
_ANONYMOUS = "Everybody is taken at their word: SALLYPORT_TEAMS_ANONYMOUS is for a playground."


@click.command("doctor", help="Check this installation, and say what to do about it.")
@answering
async def COMMAND() -> Answer:  # noqa: N802 - what the command line looks for
    """Look at one thing after the other, as far as they can be looked at."""
    found = [finding async for finding in _findings()]
    wrong = any(finding.health is _Health.WRONG for finding in found)
    colours = {_Health.OK: "green", _Health.NOTE: "yellow", _Health.WRONG: "red"}
    lines = [
        Text.assemble(
            (f"{finding.health.value:<6}", colours[finding.health]),
            f"{finding.check:<10}{finding.detail}",
        )
        for finding in found
    ]
    return Answer(
        document={
            "ok": not wrong,
            "checks": [
                {"check": one.check, "status": one.health.value, "detail": one.detail}
                for one in found
            ],
        },
        shown=Text("\n").join(lines),
        code=int(wrong),
    )


async def _findings() -> AsyncGenerator[_Finding]:
    yield _python()
    try:
        read = settings.load()
    except SallyportError as error:
        yield _wrong("settings", error)
        return
    yield _Finding(check="settings", health=_Health.OK, detail="Every key is known and valid.")
    try:
        async with Storage(read.store) as storage:
            async for finding in _with_database(read, url=storage.url):
                yield finding
    except SallyportError as error:
        yield _wrong("database", error)


async def _with_database(read: Settings, *, url: str) -> AsyncGenerator[_Finding]:
    where = "the one in your settings" if read.store.database_url else "embedded"
    detail = f"It answers ({where}) and has the newest shape."
    yield _Finding(check="database", health=_Health.OK, detail=detail)
    parts = Assembly(read, url=url)
    try:
        yield await _tenancy(parts)
        yield _vault(parts)
        yield await _worker(parts)
        async for finding in _chat(parts):
            yield finding
    finally:
        await parts.database.close()
    try:
        await asyncio.to_thread(parts.build_model)
    except (SallyportError, OSError) as error:
        yield _wrong("model", error)
    else:
        yield _model(read)


def _python() -> _Finding:
    version = sys.version_info
    told = f"{version[0]}.{version[1]}.{version[2]}"
    if _OLDEST <= version[:2] <= _NEWEST:
        return _Finding(check="python", health=_Health.OK, detail=told)
    detail = f"{told} is not one of those that we test. Use Python 3.11, 3.12 or 3.13."
    return _Finding(check="python", health=_Health.WRONG, detail=detail)


async def _tenancy(parts: Assembly) -> _Finding:
    confinement = await confinement_of(parts.database)
    if confinement.holds:
        detail = f"Row-level security binds the role {confinement.role}."
        return _Finding(check="tenancy", health=_Health.OK, detail=detail)
    detail = (
        f"The role {confinement.role} may pass row-level security by. Run sallyport migrate as "
        "the database's owner: it makes a role that may not."
    )
    return _Finding(check="tenancy", health=_Health.WRONG, detail=detail)


def _vault(parts: Assembly) -> _Finding:
    try:
        newest = parts.cipher.newest
    except Misconfigured as error:
        return _Finding(check="vault", health=_Health.NOTE, detail=sentence_of(error))
    detail = f"Credentials are sealed under the key {newest}."
    return _Finding(check="vault", health=_Health.OK, detail=detail)


async def _worker(parts: Assembly) -> _Finding:
    if await worker_is_alive(parts):
        return _Finding(check="worker", health=_Health.OK, detail="At least one is alive.")
    detail = "None is running: runs wait. Start one with sallyport serve or sallyport worker."
    return _Finding(check="worker", health=_Health.NOTE, detail=detail)


async def _chat(parts: Assembly) -> AsyncGenerator[_Finding]:
    """Look at every tenant's workspaces, and at what could not be handled or delivered."""
    surfaces = [
        *((Surface.SLACK,) if parts.settings.slack.is_on else ()),
        *((Surface.TEAMS,) if parts.settings.teams.is_on else ()),
    ]
    there: dict[Surface, list[Workspace]] = {surface: [] for surface in surfaces}
    dead: Counter[str] = Counter()
    after = ""
    while surfaces and (page := await parts.directory.tenants(after=after, limit=100)):
        for tenant in page:
            for surface in surfaces:
                there[surface] += await parts.chat_workspaces.of_tenant(tenant.id, surface=surface)
            letters = await parts.letters.dead_of(tenant.id, limit=_LETTERS)
            dead.update(one.place.surface for one in letters)
        after = page[-1].name
    for surface in surfaces:
        yield _surface(surface, workspaces=there[surface], dead=dead[surface.value])
    if parts.settings.teams.teams_anonymous:
        yield _Finding(check="teams", health=_Health.NOTE, detail=_ANONYMOUS)


def _surface(surface: Surface, *, workspaces: Sequence[Workspace], dead: int) -> _Finding:
    spoken = _SPOKEN[surface]
    active = [one for one in workspaces if one.is_active]
    left = [f"{one.name} ({one.state.value})" for one in workspaces if one not in active]
    has_left = bool(left and spoken.gone)
    if has_left or dead:
        gone = f"{spoken.gone} {', '.join(left[:5])}. " if has_left else ""
        lost = "Dead letters wait: see sallyport letters list." if dead else ""
        detail = f"{gone}{lost}".strip()
        return _Finding(check=surface.value, health=_Health.WRONG, detail=detail)
    if not active:
        return _Finding(check=surface.value, health=_Health.NOTE, detail=spoken.nowhere)
    detail = f"{spoken.there.format(len(active))}, and nothing is left undelivered."
    return _Finding(check=surface.value, health=_Health.OK, detail=detail)


def _model(read: Settings) -> _Finding:
    chain = read.models.chain
    if chain == ("scripted",):
        detail = "The scripted model answers. Set ANTHROPIC_API_KEY to have Claude do so."
        return _Finding(check="model", health=_Health.NOTE, detail=detail)
    detail = f"{', then '.join(chain)}, asked for {read.models.model}."
    return _Finding(check="model", health=_Health.OK, detail=detail)


def _wrong(check: str, error: SallyportError | OSError) -> _Finding:
    detail = sentence_of(error) if isinstance(error, SallyportError) else str(error)
    return _Finding(check=check, health=_Health.WRONG, detail=detail)
