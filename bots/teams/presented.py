"""What is checked of a token that somebody presents, beside what an SDK checks of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import jwt
from jwt.exceptions import PyJWTError

from bots.teams.registration import Registration
from bots.teams.signing_keys import SigningKey, SigningKeys
from core.domain.canonical import JsonObject
from core.errors import Unauthenticated

ALGORITHM: Final = "RS256"
"""The only signature that counts, whatever a token's header names."""

CHANNEL: Final = "msteams"
"""Teams among the channels of the Bot Framework: others let callers say who they are."""

LEEWAY_SECONDS: Final = 300
"""How far Microsoft's clock and ours may be apart."""

_LONGEST: Final = 16_384
_BEARER: Final = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII)

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A token that may be good; an SDK has yet to compare its signature and its times."""

    token: str
    key_id: str
    key: SigningKey


async def presented(
    authorization: str | None,
    *,
    activity: JsonObject,
    registration: Registration,
    keys: SigningKeys,
) -> Presented:
    """Return the token of a header, with the key of Teams' that it says it is signed with.

    Both SDKs would take some token that this refuses: one signed for another channel of the bot,
    one by a key without endorsements, and one of an issuer other than the Bot Framework, among
    which are the tokens that we send out ourselves.

    Raises:
        Unauthenticated: ``teams_not_signed``.
        Unavailable: ``teams_unavailable``.
    """
    found = _BEARER.fullmatch(authorization) if authorization else None
    if found is None or len(found[0]) > _LONGEST:
        raise not_signed("it has no token")
    token = found[1]
    try:
        header = cast("Claims", jwt.get_unverified_header(token))
        claims = cast("Claims", jwt.decode(token, options={"verify_signature": False}))
    except PyJWTError:
        raise not_signed("its token is none") from None
    key_id = header.get("kid")
    if header.get("alg") != ALGORITHM or "crit" in header or not isinstance(key_id, str):
        raise not_signed("its token is signed in a way that does not count")
    _check(claims, activity=activity, registration=registration)
    key = await keys.find(key_id)
    if key is None:
        raise not_signed("its token is signed with a key that Microsoft does not publish")
    if CHANNEL not in key.endorsements:
        raise not_signed("its token is signed with a key of another channel")
    return Presented(token=token, key_id=key_id, key=key)


def _check(claims: Claims, *, activity: JsonObject, registration: Registration) -> None:
    """Check what the claims say; that they are Microsoft's is checked with the signature."""
    if claims.get("iss") != registration.addresses.issuer:
        raise not_signed("its token names another issuer")
    if claims.get("aud") != registration.app_id:
        raise not_signed("its token is for another app")
    if not all(_is_number(claims.get(name)) for name in ("exp", "nbf")):
        raise not_signed("its token does not say when it is valid")
    if claims.get("serviceurl") != service_of(activity, registration=registration):
        raise not_signed("its token is for another service")
    if activity.get("channelId") != CHANNEL:
        raise not_signed("it comes through another channel")


def service_of(activity: JsonObject, *, registration: Registration) -> str:
    """Return where an activity wants to be answered.

    Raises:
        Unauthenticated: ``teams_not_signed``: we would not answer there.
    """
    url = activity.get("serviceUrl")
    if not isinstance(url, str) or not registration.is_service(url):
        raise not_signed("its service is not Microsoft's")
    return url


def not_signed(detail: str) -> Unauthenticated:
    """Return the refusal of what does not prove that it comes from Teams."""
    return Unauthenticated("teams_not_signed", detail=detail)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
