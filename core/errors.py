"""Every error that Sallyport raises on purpose, one tree with stable codes.

* SallyportError
  * Refused                the caller asked for something that may not happen
    * InvalidInput         malformed body, unknown key, argument out of range
    * Unauthenticated      no valid token
    * Forbidden            known, but not allowed
    * NotFound             not there, or not theirs: the same answer
    * Conflict             it was true once: a closed approval, another digest
    * LimitReached         too much, too fast; says when to come back
    * AuthorizationRefused an OAuth request was refused; the codes are those of the RFCs
  * RunStopped             a run must end now, with this code
  * StaleEpoch             the tenant's configuration changed since the verdict: judge again
  * LeaseLost              another worker drives this run: write nothing more
  * ToolFailed             a tool says why it could not; reaches the model as data
  * ModelFailed            a provider could not answer
    * ModelOverloaded      429 or 5xx, after the provider's own retries
  * Unavailable            a part we need (the database, a worker) is not there
  * Misconfigured          settings or installation; the operator must act

Errors carry a ``code`` and typed ``facts``, no prose: ``core.words`` turns both into a sentence.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

COME_AGAIN_SECONDS: Final = 5
"""When it is worth asking again where a part was not there (``Unavailable``)."""

Fact = str | int | float | bool | None | list[str]


class SallyportError(Exception):
    """The root. ``code`` is stable and documented; ``facts`` are safe to show to the caller."""

    def __init__(self, code: str, **facts: Fact) -> None:
        """Take the stable ``code`` and the facts that its sentence needs."""
        super().__init__(code)
        self.code = code
        self.facts: Mapping[str, Fact] = MappingProxyType(facts)

    def __str__(self) -> str:
        """Return code and facts, for logs and tracebacks."""
        told = " ".join(f"{key}={value!r}" for key, value in self.facts.items())
        return f"{self.code} {told}".rstrip()


class Refused(SallyportError):
    """The caller asked for something that may not happen. Expected: logged at info."""


class InvalidInput(Refused):
    """What was sent does not fit what is taken."""


class Unauthenticated(Refused):
    """No token, or none that is valid here."""


class Forbidden(Refused):
    """The caller is known and may not do this."""


class NotFound(Refused):
    """Not there, or another tenant's: nobody can tell which."""


class Conflict(Refused):
    """What the caller decided about has changed or is closed."""


class LimitReached(Refused):
    """A limit; ``retry_after_seconds`` says when it is worth asking again."""

    def __init__(self, code: str, *, retry_after_seconds: int, **facts: Fact) -> None:
        """Take the wait in whole seconds beside code and facts."""
        super().__init__(code, retry_after_seconds=retry_after_seconds, **facts)
        self.retry_after_seconds = retry_after_seconds


class AuthorizationRefused(Refused):
    """A client's OAuth request was refused. ``code`` is what the wire carries (RFC 6749, 7591)."""


class RunStopped(SallyportError):
    """The run must end now with this code: budget, step cap, cancelled, stuck, too long."""


class LeaseLost(SallyportError):
    """Another worker drives this run. Whoever sees this writes nothing and calls nothing more."""


class StaleEpoch(SallyportError):
    """The tenant's people, tools or policies have changed since the verdict: judge again."""


class ToolFailed(SallyportError):
    """A tool could not do it; code and facts reach the model as a structured error."""


class ModelFailed(SallyportError):
    """A provider could not answer and asking it again will not help."""


class ModelOverloaded(ModelFailed):
    """A provider answered 429 or 5xx, or not at all, beyond the provider's own retries."""


class Unavailable(SallyportError):
    """A part that we need is not there now; it may be later."""


class Misconfigured(SallyportError):
    """Settings or installation are wrong; the operator must act."""
