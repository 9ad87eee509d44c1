"""Who is asked, and whose word counts: pure."""

from collections.abc import Mapping, Sequence

from core.domain.approval import Answer, Approval, Decision
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


def voice_of(
    person: Principal,
    *,
    absent: Sequence[Principal],
    approvers: Approvers,
    requester: PrincipalId,
) -> Principal | None:
    """Return whose answer this person's would count as: theirs, or that of somebody ``absent``.

    None where it would count as nobody's. A deputy decides where the absent person could, and
    never about what they have asked for themselves; whoever may never decide is nobody's deputy.
    """
    if objection(person, approvers=approvers, requester=requester) is None:
        return person
    if person.id == requester or not person.may_approve:
        return None
    able = (
        one for one in absent if objection(one, approvers=approvers, requester=requester) is None
    )
    return next(able, None)


def is_covered(
    approval: Approval,
    *,
    digest: str,
    demanded: Approvers,
    people: Mapping[PrincipalId, Principal],
) -> bool:
    """Return whether an approval answers what is demanded now.

    Only answers count that were given to this very digest, by people who may still give them; a
    deputy's as that of the person in whose place it was given, once.
    """
    if approval.digest != digest:
        return False
    voices = {
        decision.voice.id
        for decision in approval.voices
        if decision.answer is Answer.APPROVE
        and _still_counts(
            decision, demanded=demanded, requester=approval.requester.id, people=people
        )
    }
    return len(voices) >= demanded.needed


def _still_counts(
    decision: Decision,
    *,
    demanded: Approvers,
    requester: PrincipalId,
    people: Mapping[PrincipalId, Principal],
) -> bool:
    person, voice = people.get(decision.principal.id), people.get(decision.voice.id)
    if person is None or voice is None:
        return False
    if decision.in_place_of is None:
        return objection(person, approvers=demanded, requester=requester) is None
    is_own = person.id == requester or not person.may_approve
    return not is_own and objection(voice, approvers=demanded, requester=requester) is None


def _has_role(person: Principal, role: Role) -> bool:
    match role:
        case Role.MEMBER:
            return True
        case Role.APPROVER:
            return person.may_approve
        case Role.ADMIN:
            return Role.ADMIN in person.roles
