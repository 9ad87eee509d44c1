"""How a prompt is written that a pack offers beside its tools: a text with gaps to fill in."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.domain.canonical import storable
from core.domain.principal import Principal
from core.errors import InvalidInput

_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}")
_GAP = re.compile(r"\{([a-z_]+)\}")
_LONGEST = 1000

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed(Generic[S_co]):
    """What somebody has typed so far into an argument; ``limit`` values are wanted at most."""

    text: str
    limit: int
    viewer: Principal
    store: S_co


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completer(Generic[S]):
    """Suggests values, of those that the viewer would learn by calling the tool ``reads``.

    It is asked only for whoever may call that tool without asking anybody.
    """

    reads: str
    find: Callable[[Typed[S]], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptArgument(Generic[S]):
    """A gap in a prompt. ``otherwise`` stands there where nothing is given; None: must be given."""

    name: str
    description: str
    otherwise: str | None = None
    completer: Completer[S] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackPrompt(Generic[S]):
    """A task that people often have, in words; offered to whoever has every tool of ``needs``.

    ``template`` names each argument as ``{name}``.

    Raises:
        TypeError: the parts don't fit each other; the message says which.
    """

    name: str
    title: str
    description: str
    needs: tuple[str, ...]
    arguments: tuple[PromptArgument[S], ...]
    template: str

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if not _NAME.fullmatch(self.name):
            raise TypeError(f"{self.name}: a prompt's name is lower-case words, joined by _")
        names = [argument.name for argument in self.arguments]
        if sorted(names) != sorted(set(_GAP.findall(self.template))):
            raise TypeError(
                f"{self.name}: the gaps of the template are its arguments, each of them"
            )
        for argument in self.arguments:
            completer = argument.completer
            if completer is not None and completer.reads not in self.needs:
                raise TypeError(
                    f"{self.name}: needs {completer.reads}, which {argument.name} reads"
                )

    def text(self, given: Mapping[str, str]) -> str:
        """Return the prompt with the gaps filled in; what is given is put in as it is, once.

        Raises:
            InvalidInput: ``invalid_prompt``: an argument is missing, unknown, too long or no text.
        """
        known = {argument.name: argument for argument in self.arguments}
        for name, value in given.items():
            if name not in known:
                raise self._invalid(f"there is no argument {storable(name[:64])}")
            if len(value) > _LONGEST or storable(value) != value:
                raise self._invalid(f"{name} is a text of at most {_LONGEST} characters")
        filled: dict[str, str] = {}
        for name, argument in known.items():
            value = given.get(name, "").strip() or argument.otherwise
            if value is None:
                raise self._invalid(f"{name} is missing")
            filled[name] = value
        return _GAP.sub(lambda gap: filled[gap[1]], self.template)

    def _invalid(self, detail: str) -> InvalidInput:
        return InvalidInput("invalid_prompt", prompt=self.name, detail=detail)
