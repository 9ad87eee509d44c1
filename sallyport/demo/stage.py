"""Where the demo is seen: headings, lines, and the one question to whoever sits at the terminal."""

import asyncio
import sys
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from core.domain.approval import Answer
from sallyport.terminal import Teller

_INDENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What Bob says, and why."""

    answer: Answer
    reason: str = ""


class Stage:
    """Prints the story; plays Bob too where nobody is to be asked."""

    def __init__(self, console: Console, *, asks: bool) -> None:
        """Take where to print, and whether somebody is there to be asked."""
        self._console = console
        self._asks = asks
        self._act = 0

    def teller(self) -> Teller:
        """Return who tells of a run here."""
        return Teller(self._console)

    def act(self, title: str) -> None:
        """Begin the next act."""
        self._act += 1
        self._console.print()
        self._console.print(Text(f"{self._act}  {title}", style="bold"))

    def says(self, who: str, what: str, *, style: str = "white") -> None:
        """Print who says or does what."""
        line = Text.assemble((f"  {who:<8}", f"bold {style}"), what)
        self._console.print(line, soft_wrap=True)

    def shows(self, what: RenderableType) -> None:
        """Print something of several lines, indented."""
        self._console.print(Padding(what, (0, 0, 0, _INDENT), expand=False))

    def plainly(self, text: str) -> None:
        """Print text as it is, to be copied."""
        self._console.print(Text(text), soft_wrap=True)

    async def bob_decides(self) -> Word:
        """Return Bob's word: that of the person at the terminal, or yes."""
        if not self._asks:
            return Word(answer=Answer.APPROVE)
        question = "Press Enter to approve as Bob, or type a reason to deny it: "
        self._console.print(Text(f"  {'you':<8}{question}", style="bold yellow"), end="")
        line = await _typed_line()
        if line.strip():
            return Word(answer=Answer.DENY, reason=line.strip())
        if not line:
            self._console.print()
            return Word(answer=Answer.DENY, reason="Nobody was there to look at it.")
        return Word(answer=Answer.APPROVE)


async def _typed_line() -> str:
    """Return the next line that is typed; nothing where the terminal is gone."""
    typed = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Not a thread: one that waits for a key could not be ended.
    loop.add_reader(sys.stdin, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
