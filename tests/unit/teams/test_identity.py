"""Who is in Teams: what the tenant says of an account, and what its silence is worth."""

from collections.abc import Mapping
from typing import cast

import pytest

from bots.teams.identity import objection, profile_of
from core.domain.canonical import JsonObject

TENANT = "0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0001"
ALICE = "0f8fad5b-d9cb-469f-a165-70867728950e"
TOLD: Mapping[str, object] = {
    "id": "29:alice",
    "aadObjectId": ALICE.upper(),
    "name": "Alice",
    "userPrincipalName": "Alice@Acme.test",
    "userRole": "user",
    "tenantId": TENANT.upper(),
}


def said(**changed: object) -> JsonObject:
    """Return what Teams says of Alice; None leaves something out."""
    told = {key: one for key, one in {**TOLD, **changed}.items() if one is not None}
    return cast("JsonObject", told)


def test_a_full_member_is_who_the_tenant_says() -> None:
    profile = profile_of(said())
    assert profile is not None
    assert (profile.user, profile.tenant, profile.email) == (ALICE, TENANT, "alice@acme.test")
    assert objection(profile, workspace=TENANT) is None


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"id": "28:bot"}, "account_is_bot"),
        ({"tenantId": "0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0002"}, "account_outside"),
        ({"tenantId": None}, "account_outside"),
        ({"userRole": "guest"}, "account_guest"),
        ({"userRole": "anonymous"}, "account_guest"),
        ({"userRole": None}, "account_guest"),
        ({"userPrincipalName": "a_b.test#EXT#@acme.test"}, "account_guest"),
        ({"name": 1}, "account_unknown"),
    ],
)
def test_what_is_not_said_counts_against_an_account(told: Mapping[str, object], code: str) -> None:
    assert objection(profile_of(said(**told)), workspace=TENANT) == code


@pytest.mark.parametrize("name", ["", "alice", "a_b.test#EXT#@acme.test", f"{'x' * 250}@acme.test"])
def test_a_name_that_is_no_address_of_the_tenant_s_is_none(name: str) -> None:
    profile = profile_of(said(userPrincipalName=name, email="alice@acme.test"))
    assert profile is not None
    assert profile.email is None
