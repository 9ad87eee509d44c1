"""A Teams that we did not write: Microsoft's playground, with somebody at a browser before it.

What it does not do, or otherwise than Teams, is told in ``tests/peers/README.md``.
"""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from tests.outside import ENVIRONMENT, Npm, cannot
from tests.peers.serving import Spawn, free_port, until_answers
from tests.waiting import until

TENANT: Final = "00000000-0000-0000-0000-0000000000001"
"""The playground's only Entra tenant: a digit longer than Microsoft's are."""

ALEX: Final = "00000000-0000-0000-0000-0000000000020"
"""Its only person: Alex Wilber, who is whom we say."""

_AI: Final = "AI generated"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_HERE: Final = Path(__file__).parent
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message as the page shows it, its card with it. Without ``by`` it is Alex's own."""

    by: str
    label: str
    text: str
    buttons: Sequence[str]

    @property
    def is_marked(self) -> bool:
        """Whether it says that an AI wrote it."""
        return _AI in self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground:
    """The page, and Alex before it."""

    browser: Process

    async def says(self, text: str) -> None:
        """Write a message to the agent."""
        await self._does("says", text=text)

    async def clicks(self, button: str, *, on: str) -> None:
        """Click a button of the newest message that holds ``on``."""
        await self._does("clicks", button=button, on=on)

    async def types(self, text: str, *, into: str, on: str) -> None:
        """Fill an input by its label, on the newest message that holds ``on``."""
        await self._does("types", text=text, into=into, on=on)

    async def pictures(self, *of: str, path: Path) -> None:
        """Take a picture of the newest messages that hold these texts."""
        await self._does("pictures", of=of, path=str(path))

    async def messages(self) -> list[Seen]:
        """Return what is shown, the oldest first."""
        return [Seen(**one) for one in await self._does("reads")]

    async def shown(self, holds: Callable[[Seen], bool], *, seconds: float = 20) -> Seen:
        """Return the newest message that is as wanted, once there is one."""
        found: list[Seen] = []

        async def is_there() -> bool:
            found[:] = [one for one in await self.messages() if holds(one)]
            return bool(found)

        await until(is_there, seconds=seconds)
        return found[-1]

    async def _does(self, act: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        typed = cast("asyncio.StreamWriter", self.browser.stdin)
        typed.write(f"{json.dumps({'do': act, **given})}\n".encode())
        answer = await _line(self.browser)
        assert "error" not in answer, answer
        return answer


@asynccontextmanager
async def playground(
    npm: Npm, folder: Path, *, spawn: Spawn, messages_url: str
) -> AsyncGenerator[Playground]:
    """Serve the playground for an agent at ``messages_url``, and open its page."""
    chromium = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if chromium is None:
        cannot("chromium is not here")
    port = free_port()
    process = spawn(
        [
            *(npm.node, "--import", str(_HERE / "on_loopback.mjs")),
            *(npm.script("@microsoft/m365agentsplayground/cli.js"), "start"),
            *("--app-endpoint", messages_url, "--channel-id", "msteams", "--port", str(port)),
            "--disable-telemetry",
        ],
        environment={
            **ENVIRONMENT,
            "TEAMSAPPTESTER_BROWSER": "none",
            # It counts its users all the same, and looks for a cloud around it.
            "APPLICATION_INSIGHTS_NO_STATSBEAT": "1",
        },
    )
    url = f"http://127.0.0.1:{port}"
    await until_answers(url, process=process, said=folder / "said.log")
    # A module finds its imports from where it lies.
    script = await asyncio.to_thread(
        shutil.copyfile, _HERE / "playground.mjs", npm.folder / "playground.mjs"
    )
    browser = await asyncio.create_subprocess_exec(
        *(npm.node, str(script), str(chromium), url),
        env=dict(ENVIRONMENT),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**24,
    )
    try:
        await _line(browser)
        yield Playground(browser=browser)
    finally:
        cast("asyncio.StreamWriter", browser.stdin).close()
        await browser.wait()


async def _line(process: Process) -> Any:  # noqa: ANN401 - JSON
    async with asyncio.timeout(_SECONDS):
        told = await cast("asyncio.StreamReader", process.stdout).readline()
    assert told, "the browser has ended"
    return json.loads(told)
