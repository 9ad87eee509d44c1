"""A chain of providers: when one is down or refuses our account, the next one answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.domain.model import ModelAnswer, Prompt
from core.errors import ModelFailed, ModelOverloaded
from core.llm.provided import ProvidedModel
from core.ports import Clock, OnText

# Our key, our account, our choice of model: another provider does not share the trouble. Any other
# refusal is about the request itself, and would be the same everywhere.
_ACCOUNT_STATUS: Final = frozenset({401, 402, 403, 404})
_ACCOUNT_TYPES: Final = frozenset(
    {
        "authentication_error",
        "billing_error",
        "insufficient_quota",
        "not_found_error",
        "permission_error",
    }
)
_SKIPPED = "cooling_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One provider of a chain; ``model_name`` is what it is asked for instead of the prompt's."""

    provider: str
    model: ProvidedModel
    model_name: str | None = None


@dataclass(slots=True)
class _Circuit:
    """What a provider's last answers say of it. Three fields for each provider, no history."""

    errors: int = 0
    ask_again_at: float | None = None  # monotonic seconds; None while nothing speaks against it
    probing: bool = False


@dataclass(slots=True)
class _Standing:
    link: Link
    circuit: _Circuit = field(default_factory=_Circuit)


class FallbackModel:
    """Asks the first provider that is not known to be down; the next one where it fails.

    A provider is left alone for ``cool_down_seconds`` after ``errors_to_open`` errors in a row,
    each of its own retries counted, or at once when it refuses our account. Then one prompt tries
    it again, while the others still pass it by. When all are left alone, all are tried in order.
    """

    def __init__(
        self,
        links: Sequence[Link],
        *,
        clock: Clock,
        errors_to_open: int = 4,
        cool_down_seconds: float = 60.0,
    ) -> None:
        """Take the chain in order. ``links`` must not be empty."""
        if not links:
            message = "a chain has a provider at least"
            raise ValueError(message)
        self._standings = tuple(_Standing(link) for link in links)
        self._clock = clock
        self._errors_to_open = errors_to_open
        self._cool_down_seconds = cool_down_seconds

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Return the first answer; ``refused_attempts`` names who failed or was passed by before.

        ``on_text`` may have heard the beginning of an answer that another provider then gave.

        Raises:
            ModelOverloaded: the last provider asked is overloaded, as were those before it.
            ModelFailed: a provider refuses the request, or the last one asked refuses our account.
        """
        refused: list[tuple[str, str]] = []
        failed: ModelFailed | None = None
        all_down = not any(self._may_ask(standing.circuit) for standing in self._standings)
        for standing in self._standings:
            link, circuit = standing.link, standing.circuit
            if not all_down and not self._may_ask(circuit):
                refused.append((link.provider, _SKIPPED))
                continue
            circuit.probing = circuit.ask_again_at is not None
            try:
                answer = await link.model.answer(_own(prompt, link=link), on_text=on_text)
            except ModelFailed as err:
                if not _elsewhere(err):
                    self._close(circuit)
                    raise
                self._count(circuit, err=err)
                refused.append((link.provider, err.code))
                failed = err
            else:
                self._close(circuit)
                return replace(answer, refused_attempts=(*refused, *answer.refused_attempts))
            finally:
                circuit.probing = False
        raise failed or ModelOverloaded("model_overloaded", provider="", detail=_SKIPPED)

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most, whoever of the chain answers it."""
        return max(
            one.link.model.most_micros(_own(prompt, link=one.link)) for one in self._standings
        )

    async def close(self) -> None:
        """Close every provider's connections."""
        for standing in self._standings:
            await standing.link.model.close()

    def _may_ask(self, circuit: _Circuit) -> bool:
        if circuit.ask_again_at is None:
            return True
        return not circuit.probing and self._clock.monotonic() >= circuit.ask_again_at

    def _count(self, circuit: _Circuit, *, err: ModelFailed) -> None:
        attempts = err.facts.get("attempts")
        circuit.errors += attempts if isinstance(attempts, int) else 1
        hopeless = not isinstance(err, ModelOverloaded)
        if hopeless or circuit.errors >= self._errors_to_open or circuit.ask_again_at is not None:
            circuit.ask_again_at = self._clock.monotonic() + self._cool_down_seconds

    def _close(self, circuit: _Circuit) -> None:
        circuit.errors = 0
        circuit.ask_again_at = None


def _own(prompt: Prompt, *, link: Link) -> Prompt:
    return prompt if link.model_name is None else replace(prompt, model=link.model_name)


def _elsewhere(err: ModelFailed) -> bool:
    if isinstance(err, ModelOverloaded):
        return True
    return err.facts.get("status") in _ACCOUNT_STATUS or err.facts.get("detail") in _ACCOUNT_TYPES
