"""Who is asked, and whose word counts: pure."""

from collections.abc import Mapping

from core.domain.approval import Answer, Approval
from core.domain.ids import PrincipalId
from core.domain.principal import Principal, Role
from core.domain.verdict import Approvers


def objection(person: Principal, *, approvers: Approvers, requester: PrincipalId) -> str | None:
    """Return why this person may not answer: ``self_approval`` or ``not_eligible``; None if so.

    An admin may decide whatever an approver may; nobody decides for themselves unless the policy
    that asked says so.
    """
    if person.id == requester and not approvers.allow_requester:
        return "self_approval"
    fits = _has_role(person, approvers.role)
    if approvers.people:
        fits = fits and person.email in approvers.people
    if approvers.groups:
        fits = fits and bool(person.groups & approvers.groups)
    return None if fits else "not_eligible"


def is_covered(
    approval: Approval,
    *,
    digest: str,
    demanded: Approvers,
    people: Mapping[PrincipalId, Principal],
) -> bool:
    """Return whether an approval answers what is demanded now.

    Only answers count that were given to this very digest, by people who may still give them.
    """
    if approval.digest != digest:
        return False
    voices = {
        decision.principal.id
        for decision in approval.decisions
        if decision.answer is Answer.APPROVE
        and decision.digest == digest
        and (now := people.get(decision.principal.id)) is not None
        and objection(now, approvers=demanded, requester=approval.requester.id) is None
    }
    return len(voices) >= demanded.needed


def _has_role(person: Principal, role: Role) -> bool:
    match role:
        case Role.MEMBER:
            return True
        case Role.APPROVER:
            return person.may_approve
        case Role.ADMIN:
            return Role.ADMIN in person.roles
