"""The first gate: who may call what, who is asked, and that no rule outvotes a no."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.cedar import CedarPolicy
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role, Tenant, Tier
from core.domain.tool import Risk, Tool
from core.domain.verdict import Allow, Approvers, Deny, RequireApproval
from core.errors import Misconfigured
from core.ports import Facts

ACME = TenantId(UUID(int=1))
OTHER = TenantId(UUID(int=2))
CALL = frozenset({"tools:call"})
POLICY = CedarPolicy()


def tool(risk: Risk = Risk.SAFE, **changes: object) -> Tool:
    made = Tool(
        name="delete_task",
        pack="tasks",
        version=1,
        description="",
        input_schema={},
        output_schema={},
        risk=risk,
        approver=Role.APPROVER,
        needed=1,
        idempotent=True,
        reversible=True,
        cost_micros=0,
        timeout_seconds=1,
        per_minute=None,
        definition_digest="",
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - fields of Tool


def principal(*roles: Role, groups: tuple[str, ...] = ()) -> Principal:
    return Principal(
        id=PrincipalId(UUID(int=7)),
        tenant_id=ACME,
        email="alice@acme.example",
        roles=frozenset(roles),
        groups=frozenset(groups),
    )


def facts(of: Tool | None = None, **changes: object) -> Facts:
    made = Facts(
        tenant=Tenant(id=ACME, name="acme", tier=Tier.PRO, epoch=1),
        principal=principal(Role.MEMBER),
        scopes=CALL,
        resource_tenant=ACME,
        tool=of or tool(),
        enabled=True,
        arguments={},
        via="api",
        now=datetime(2026, 11, 20, 12, tzinfo=UTC),
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - fields of Facts


ASKED = {Risk.DESTRUCTIVE: "destructive", Risk.IRREVERSIBLE: "irreversible"}


@pytest.mark.parametrize("via", ["api", "undo"])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("scopes", [CALL, frozenset({"runs:read"})])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("risk", list(Risk))
@pytest.mark.parametrize("role", list(Role))
def test_verdict_follows_from_role_risk_switch_scope_and_listing(
    role: Role, risk: Risk, *, enabled: bool, scopes: frozenset[str], listed: bool, via: str
) -> None:
    verdict = POLICY.judge(
        facts(
            tool(risk, listed=listed),
            principal=principal(role),
            enabled=enabled,
            scopes=scopes,
            via=via,
        )
    )
    noes: list[tuple[str, str]] = []
    if not enabled:
        noes.append(("tool-disabled", "tool_disabled"))
    if scopes != CALL:
        noes.append(("scope-tools-call", "missing_scope"))
    if not listed and via != "undo":
        noes.append(("only-to-undo", "policy_denied"))
    if noes:
        assert isinstance(verdict, Deny)
        assert verdict.rules == tuple(rule for rule, _ in noes)
        assert verdict.code == noes[0][1]
        assert noes[0][0] in verdict.reason
    elif risk in ASKED:
        assert isinstance(verdict, RequireApproval)
        assert verdict.rules == (ASKED[risk],)
        assert verdict.approvers == Approvers(role=Role.APPROVER)
        assert verdict.reason.endswith("somebody else has to agree.")
    else:
        assert verdict == Allow(rules=(risk.value,))


def test_somebody_without_a_role_may_not_even_read() -> None:
    assert POLICY.judge(facts(principal=principal())) == Deny(
        code="policy_denied",
        reason="No rule permits somebody without a role to call delete_task (safe).",
    )


def test_a_risk_that_no_rule_knows_is_denied() -> None:
    verdict = POLICY.judge(facts(tool(cast("Risk", "harmless"))))
    assert isinstance(verdict, Deny)
    assert (verdict.code, verdict.rules) == ("policy_denied", ())


def test_the_tool_says_who_is_asked_and_how_many() -> None:
    verdict = POLICY.judge(facts(tool(Risk.DESTRUCTIVE, approver=Role.ADMIN, needed=2)))
    assert isinstance(verdict, RequireApproval)
    assert verdict.approvers == Approvers(role=Role.ADMIN, needed=2)


def rule(name: str, annotations: str = "", *, when: str = "true", effect: str = "permit") -> str:
    return f"""
        @id("{name}") @reason("Because of {name}.") {annotations}
        {effect} (principal is User, action == Action::"call", resource is Tool) when {{ {when} }};
    """


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (['@approval("admin")'], Approvers(role=Role.ADMIN)),
        (['@approval("approver") @needed("3")'], Approvers(role=Role.APPROVER, needed=3)),
        (
            ['@approval @groups("finance, legal")', '@approval @groups("legal,it")'],
            Approvers(role=Role.APPROVER, groups=frozenset({"legal"})),
        ),
        (
            ['@approval("admin") @needed("2")', '@approval @groups("legal")', ""],
            Approvers(role=Role.ADMIN, needed=2, groups=frozenset({"legal"})),
        ),
    ],
)
def test_of_several_rules_that_ask_the_strictest_wins(
    annotations: list[str], expected: Approvers
) -> None:
    added = "".join(rule(f"r{n}", text) for n, text in enumerate(annotations))
    verdict = CedarPolicy(added=added).judge(facts(tool(Risk.DESTRUCTIVE)))
    assert isinstance(verdict, RequireApproval)
    assert verdict.approvers == expected


def test_rules_that_ask_groups_with_nothing_in_common_deny() -> None:
    added = rule("a", '@approval @groups("legal")') + rule("b", '@approval @groups("finance")')
    verdict = CedarPolicy(added=added).judge(facts())
    assert isinstance(verdict, Deny)
    assert (verdict.code, verdict.rules) == ("policy_conflict", ("a", "b"))


@pytest.mark.parametrize(
    ("when", "risk"),
    [
        ('context.hour == 12 && context.weekday == "friday"', Risk.SAFE),
        ('context.tier == "pro" && context.via == "api"', Risk.SAFE),
        ('principal.groups.contains("finance") && resource.pack == "tasks"', Risk.CAUTIOUS),
        ('principal in Role::"member" && principal.email like "*@acme.example"', Risk.SAFE),
    ],
)
def test_rules_can_read_what_the_schema_promises(when: str, risk: Risk) -> None:
    policy = CedarPolicy(added=rule("here", "@approval", when=when))
    asked = facts(tool(risk), principal=principal(Role.MEMBER, groups=("finance",)))
    verdict = policy.judge(asked)
    assert isinstance(verdict, RequireApproval)
    assert verdict.rules == ("here",)


def test_what_a_rule_reads_is_never_remembered_past_its_change() -> None:
    policy = CedarPolicy(added=rule("night", effect="forbid", when="context.hour >= 20"))
    noon = facts()
    assert isinstance(policy.judge(noon), Allow)
    assert isinstance(policy.judge(replace(noon, now=noon.now.replace(hour=20))), Deny)
    assert isinstance(policy.judge(replace(noon, enabled=False)), Deny)
    assert isinstance(policy.judge(noon), Allow)


@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_rule_that_fails_denies_and_is_logged(effect: str) -> None:
    added = rule("overflow", effect=effect, when="9223372036854775807 + context.hour < 0")
    with capture_logs() as logs:
        verdict = CedarPolicy(added=added).judge(facts())
    assert isinstance(verdict, Deny)
    assert verdict.code == "policy_error"
    assert [(log["event"], log["log_level"]) for log in logs] == [("policy.errored", "warning")]


@pytest.mark.parametrize(
    "broken",
    [
        facts(tool(name="torn \ud800")),
        facts(principal=principal(Role.ADMIN, groups=("torn \ud800",))),
        facts(via="torn \ud800"),
    ],
)
def test_a_request_that_cedar_cannot_read_is_denied(broken: Facts) -> None:
    verdict = POLICY.judge(broken)
    assert isinstance(verdict, Deny)
    assert verdict.code == "policy_error"


@pytest.mark.parametrize(
    ("added", "detail"),
    [
        ("permit (principal", "parse error"),
        (rule("a", when="resource.rsik == 1"), "rsik"),
        (rule("a", when='context.hour == "noon"'), "Long and String are not compatible"),
        (rule("a", "@aproval"), "a: unknown @aproval"),
        (rule("a", "@approval", effect="forbid"), "a: unknown @approval"),
        (rule("a", '@code("x")'), "a: unknown @code"),
        (rule("safe"), "@id is not unique: safe"),
        ('@id("a") permit (principal, action, resource);', "a: needs @id and @reason"),
        ('@reason("r") permit (principal, action, resource);', "policy8: needs @id and @reason"),
        (rule("a", '@approval("member")'), "a: @approval is approver or admin"),
        (rule("a", '@approval @needed("0")'), "a: @needed is a number from 1"),
        (rule("a", '@approval @needed("two")'), "a: @needed is a number from 1"),
        (rule("a", '@approval @groups(" ,")'), "a: @groups names none"),
        (rule("a", '@needed("2")'), "a: says whom to ask, not to ask"),
        ("permit (principal == ?principal, action, resource);", "templates are not used here"),
    ],
)
def test_rules_that_do_not_hold_together_are_refused(added: str, detail: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        CedarPolicy(added=added)
    assert refused.value.code == "policy_invalid"
    assert detail in str(refused.value.facts["detail"])


PERMITS = [
    CedarPolicy(added=text)
    for text in (
        "",
        rule("all"),
        rule("all", "@approval"),
        rule("all") + rule("more", '@approval("admin") @needed("2") @groups("finance")'),
    )
]
ANY_FACTS = st.builds(
    facts,
    st.builds(
        tool,
        st.sampled_from(Risk),
        listed=st.booleans(),
        approver=st.sampled_from(Role),
        needed=st.integers(1, 3),
    ),
    tenant=st.builds(
        Tenant,
        id=st.sampled_from([ACME, OTHER]),
        name=st.just("acme"),
        tier=st.sampled_from(Tier),
        epoch=st.just(1),
    ),
    principal=st.builds(
        Principal,
        id=st.just(PrincipalId(UUID(int=7))),
        tenant_id=st.sampled_from([ACME, OTHER]),
        email=st.just("alice@acme.example"),
        roles=st.frozensets(st.sampled_from(Role)),
        groups=st.frozensets(st.sampled_from(["finance", "legal"])),
    ),
    scopes=st.frozensets(st.sampled_from(["tools:call", "runs:read", "tenant:admin"])),
    resource_tenant=st.sampled_from([ACME, OTHER]),
    enabled=st.booleans(),
    via=st.sampled_from(["api", "mcp", "undo"]),
)


@given(policy=st.sampled_from(PERMITS), asked=ANY_FACTS)
def test_no_rule_outvotes_a_forbid(policy: CedarPolicy, asked: Facts) -> None:
    forbidden = (
        len({asked.tenant.id, asked.principal.tenant_id, asked.resource_tenant}) > 1
        or not asked.enabled
        or "tools:call" not in asked.scopes
        or not (asked.tool.listed or asked.via == "undo")
    )
    assert isinstance(policy.judge(asked), Deny) or not forbidden


@given(policy=st.sampled_from(PERMITS), asked=ANY_FACTS)
def test_a_tenant_mismatch_always_denies(policy: CedarPolicy, asked: Facts) -> None:
    verdict = policy.judge(asked)
    if len({asked.tenant.id, asked.principal.tenant_id, asked.resource_tenant}) > 1:
        assert isinstance(verdict, Deny)
        assert verdict.code == "tenant_mismatch"


@given(asked=ANY_FACTS, permits=st.sampled_from(PERMITS))
def test_no_added_permit_makes_a_harmful_call_pass_unasked(
    asked: Facts, permits: CedarPolicy
) -> None:
    if asked.tool.risk in ASKED and asked.principal.roles:
        assert not isinstance(permits.judge(asked), Allow)


@given(asked=ANY_FACTS)
def test_the_same_facts_get_the_same_verdict_remembered_or_not(asked: Facts) -> None:
    assert POLICY.judge(asked) == CedarPolicy().judge(asked)
