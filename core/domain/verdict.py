"""The machine's answer about a call; a person's answer is a Decision."""

from dataclasses import dataclass

from core.domain.canonical import JsonObject
from core.domain.principal import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The call may be made; ``rules`` names the policies that said so."""

    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The call may not be made; ``code`` is stable, ``reason`` is a sentence for people."""

    code: str
    reason: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """Who may answer: holders of ``role`` (an admin always), ``needed`` different people.

    Where ``people`` or ``groups`` are given, only they (by email, by group) among them.
    """

    role: Role
    needed: int = 1
    groups: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    allow_requester: bool = False

    def as_json(self) -> JsonObject:
        """Return plain JSON, for the journal."""
        return {
            "role": self.role.value,
            "needed": self.needed,
            "groups": sorted(self.groups),
            "people": sorted(self.people),
            "allow_requester": self.allow_requester,
        }

    def in_words(self) -> str:
        """Return who may answer, for a sentence: ``an approver``, ``2 admins of finance``."""
        people = ", ".join(sorted(self.people))
        noun = self.role.value
        article = "a" if self.role is Role.MEMBER else "an"
        crowd = f"{self.needed} different {noun}s" if self.needed > 1 else f"{article} {noun}"
        of = f" of {', '.join(sorted(self.groups))}" if self.groups else ""
        return people or f"{crowd}{of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireApproval:
    """People must be asked first; ``reason`` says why, ``approvers`` whom."""

    reason: str
    approvers: Approvers
    rules: tuple[str, ...] = ()


Verdict = Allow | Deny | RequireApproval
