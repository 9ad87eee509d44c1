"""The policies in force as people read them: what each rule says, never how it is written."""

from dataclasses import dataclass

from core.domain.principal import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """That a rule has people asked; None leaves who, or how many, to the tool's definition."""

    role: Role | None
    needed: int | None
    groups: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One rule in words.

    ``permits`` is False where the rule forbids, which no other rule outvotes. ``demand`` is there
    where what the rule permits waits for people.
    """

    name: str
    permits: bool
    reason: str
    demand: Demand | None = None
