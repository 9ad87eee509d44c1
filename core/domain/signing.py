"""What is kept of a key that signs tokens."""

from dataclasses import dataclass
from datetime import datetime

from core.domain.canonical import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRecord:
    """A key as it is kept: the private half sealed, the public one as a JWK (RFC 7517).

    It signs until ``signs_until``; what it has signed is believed until ``verifies_until``.
    """

    kid: str
    sealed: bytes
    jwk: JsonObject
    created_at: datetime
    signs_until: datetime
    verifies_until: datetime
