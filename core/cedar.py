"""Cedar behind the Policy port: what the rules permit, what they forbid, and whom they ask."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from importlib.resources import files
from typing import Final, NamedTuple, cast
from uuid import UUID

import cedarpy
import structlog

from core.domain.policy import Demand, PolicyRule
from core.domain.principal import Role, Tier
from core.domain.tool import Risk
from core.domain.verdict import Allow, Approvers, Deny, RequireApproval, Verdict
from core.errors import Misconfigured
from core.ports import Facts

_REMEMBERED: Final = 8192
_SETS_REMEMBERED: Final = 16
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ANNOTATIONS: Final = {
    "permit": frozenset({"id", "reason", "approval", "needed", "groups"}),
    "forbid": frozenset({"id", "reason", "code"}),
}
_STRICTNESS: Final = (Role.MEMBER, Role.APPROVER, Role.ADMIN)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class CedarPolicy:
    """The Policy port: the base set of rules, and rules beside it.

    Only the base set, or a rule beside it, can permit; a forbid is never outvoted, and a rule that
    asks people is never outvoted by one that does not.
    """

    def __init__(self, *, added: str = "") -> None:
        """Parse and check the rules; ``added`` is Cedar text, as annotated as the base set.

        Raises:
            Misconfigured: ``policy_invalid`` with ``detail``.
        """
        known = _parsed(_packaged("base.cedar") + added)
        self._schema, self._policies, self._rules = known.schema, known.policies, known.rules
        # A verdict follows from what the rules see and from nothing else, so it can't go stale.
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._judged)

    def judge(self, facts: Facts) -> Verdict:
        """Return the verdict; see the port."""
        return self._remembered(_seen(facts))

    def rules(self) -> tuple[PolicyRule, ...]:
        """Return the rules in words; see the port."""
        return tuple(
            PolicyRule(name=rule.name, permits=rule.permits, reason=rule.reason, demand=rule.demand)
            for rule in self._rules.values()
        )

    def _judged(self, seen: "_Seen") -> Verdict:
        try:
            answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType] - bare dict in its hints
                _request(seen), self._policies, _entities(seen), schema=self._schema
            )
        except ValueError as error:
            return _errored(seen, errors=[str(error)])
        errors = answer.diagnostics.errors
        if errors or answer.decision is cedarpy.Decision.NoDecision:
            return _errored(seen, errors=errors)
        satisfied = frozenset(answer.diagnostics.reasons)
        rules = [rule for name, rule in self._rules.items() if name in satisfied]
        if answer.decision is cedarpy.Decision.Allow:
            return _permitted(rules, seen=seen)
        return _forbidden(rules, seen=seen)


class _Seen(NamedTuple):
    """All that rules and their annotations can see of a call: equal ones get equal verdicts."""

    tenant: UUID
    tier: Tier
    principal: UUID
    principal_tenant: UUID
    email: str
    roles: frozenset[Role]
    groups: frozenset[str]
    scopes: frozenset[str]
    via: str
    hour: int
    weekday: int
    resource_tenant: UUID
    enabled: bool
    tool: str
    pack: str
    risk: Risk
    listed: bool
    approver: Role
    needed: int


def _seen(facts: Facts) -> _Seen:
    principal, tool = facts.principal, facts.tool
    return _Seen(
        facts.tenant.id,
        facts.tenant.tier,
        principal.id,
        principal.tenant_id,
        principal.email,
        principal.roles,
        principal.groups,
        facts.scopes,
        facts.via,
        facts.now.hour,
        facts.now.weekday(),
        facts.resource_tenant,
        facts.enabled,
        tool.name,
        tool.pack,
        tool.risk,
        tool.listed,
        tool.approver,
        tool.needed,
    )


def _request(seen: _Seen) -> dict[str, object]:
    return {
        "principal": {"type": "User", "id": str(seen.principal)},
        "action": {"type": "Action", "id": "call"},
        "resource": {"type": "Tool", "id": seen.tool},
        "context": json.dumps(
            {
                "tenant": str(seen.tenant),
                "tier": seen.tier,
                "via": seen.via,
                "scopes": list(seen.scopes),
                "hour": seen.hour,
                "weekday": _WEEKDAYS[seen.weekday],
            }
        ),
    }


def _entities(seen: _Seen) -> str:
    user: dict[str, object] = {
        "uid": {"type": "User", "id": str(seen.principal)},
        "attrs": {
            "tenant": str(seen.principal_tenant),
            "email": seen.email,
            "groups": list(seen.groups),
        },
        "parents": [{"type": "Role", "id": role} for role in seen.roles],
    }
    tool: dict[str, object] = {
        "uid": {"type": "Tool", "id": seen.tool},
        "attrs": {
            "name": seen.tool,
            "pack": seen.pack,
            "risk": seen.risk,
            "tenant": str(seen.resource_tenant),
            "enabled": seen.enabled,
            "listed": seen.listed,
        },
        "parents": [],
    }
    return json.dumps([user, tool])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What a policy says beside its condition."""

    name: str
    permits: bool
    reason: str
    code: str
    demand: Demand | None


def _errored(seen: _Seen, *, errors: Sequence[str]) -> Deny:
    _log.warning("policy.errored", tenant_id=str(seen.tenant), tool=seen.tool, errors=list(errors))
    return Deny(
        code="policy_error", reason="A rule could not be applied to this call. Tell an admin."
    )


def _forbidden(rules: Sequence[_Rule], *, seen: _Seen) -> Deny:
    if not rules:
        roles = " and ".join(sorted(seen.roles)) or "somebody without a role"
        reason = f"No rule permits {roles} to call {seen.tool} ({seen.risk})."
        return Deny(code="policy_denied", reason=reason)
    first = rules[0]
    return Deny(
        code=first.code,
        reason=f"{first.reason} (Rule: {first.name}.)",
        rules=tuple(rule.name for rule in rules),
    )


def _permitted(rules: Sequence[_Rule], *, seen: _Seen) -> Verdict:
    asking = [(rule, rule.demand) for rule in rules if rule.demand is not None]
    if not asking:
        return Allow(rules=tuple(rule.name for rule in rules))
    names = tuple(rule.name for rule, _ in asking)
    groups = [demand.groups for _, demand in asking if demand.groups]
    both = reduce(frozenset[str].__and__, groups) if groups else frozenset[str]()
    if groups and not both:
        # Approvers are of any one group: no list of groups says "one of each".
        reason = f"The rules {', '.join(names)} ask different groups; nobody can answer them all."
        return Deny(code="policy_conflict", reason=reason, rules=names)
    approvers = Approvers(
        role=max((demand.role or seen.approver for _, demand in asking), key=_STRICTNESS.index),
        needed=max(demand.needed or seen.needed for _, demand in asking),
        groups=both,
    )
    reason = " ".join(rule.reason for rule, _ in asking)
    return RequireApproval(reason=reason, approvers=approvers, rules=names)


class _Parsed(NamedTuple):
    """A set of rules that was checked; nothing changes it."""

    schema: cedarpy.Schema
    policies: cedarpy.PolicySet
    rules: Mapping[str, _Rule]


@lru_cache(maxsize=_SETS_REMEMBERED)
def _parsed(policies: str) -> _Parsed:
    schema = cedarpy.Schema.from_str(_packaged("schema.cedarschema"))
    rules = _checked(policies, schema=schema)
    return _Parsed(schema=schema, policies=cedarpy.PolicySet.from_str(policies), rules=rules)


@cache
def _packaged(name: str) -> str:
    return (files("core") / "policies" / name).read_text(encoding="utf-8")


def _checked(policies: str, *, schema: cedarpy.Schema) -> Mapping[str, _Rule]:
    """Return the rules in their order, by the engine's own name for each."""
    result = cedarpy.validate_policies(policies, schema)  # pyright: ignore[reportUnknownMemberType] - bare dict in its hints
    if not result.validation_passed:
        raise Misconfigured("policy_invalid", detail="; ".join(str(e) for e in result.errors))
    # cedarpy's JSON text is untyped; this is the shape of Cedar's own JSON policy format.
    parsed = cast(
        "dict[str, dict[str, dict[str, object]]]",
        json.loads(cedarpy.policies_to_json_str(policies)),
    )
    if parsed["templates"]:
        raise Misconfigured("policy_invalid", detail="templates are not used here")
    positional = sorted(parsed["staticPolicies"].items(), key=lambda item: int(item[0][6:]))
    rules = {name: _rule(name, policy=policy) for name, policy in positional}
    names = [rule.name for rule in rules.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Misconfigured("policy_invalid", detail=f"@id is not unique: {', '.join(twice)}")
    return rules


def _rule(name: str, *, policy: Mapping[str, object]) -> _Rule:
    given = cast("dict[str, str | None]", policy.get("annotations", {}))
    told = {key: (value or "").strip() for key, value in given.items()}
    where = told.get("id") or name
    # A misspelt @approval would make a rule that asks into one that lets through.
    if unknown := told.keys() - _ANNOTATIONS[str(policy["effect"])]:
        raise Misconfigured("policy_invalid", detail=f"{where}: unknown @{', @'.join(unknown)}")
    if not (told.get("id") and told.get("reason")):
        raise Misconfigured("policy_invalid", detail=f"{where}: needs @id and @reason")
    return _Rule(
        name=where,
        permits=policy["effect"] == "permit",
        reason=told["reason"],
        code=told.get("code") or "policy_denied",
        demand=_demand(where, told=told),
    )


def _demand(where: str, *, told: Mapping[str, str]) -> Demand | None:
    if "approval" not in told:
        if told.keys() & {"needed", "groups"}:
            raise Misconfigured("policy_invalid", detail=f"{where}: says whom to ask, not to ask")
        return None
    role, needed = told["approval"], told.get("needed")
    if role not in {"", Role.APPROVER, Role.ADMIN}:
        raise Misconfigured("policy_invalid", detail=f"{where}: @approval is approver or admin")
    if needed is not None and not (needed.isascii() and needed.isdigit() and int(needed) > 0):
        raise Misconfigured("policy_invalid", detail=f"{where}: @needed is a number from 1")
    groups = frozenset(g for group in told.get("groups", "").split(",") if (g := group.strip()))
    if "groups" in told and not groups:
        raise Misconfigured("policy_invalid", detail=f"{where}: @groups names none")
    return Demand(
        role=Role(role) if role else None, needed=int(needed) if needed else None, groups=groups
    )
