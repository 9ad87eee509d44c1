"""The key that signs the audit: it lives in a file, never in the database that it vouches for."""

import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from core.errors import Misconfigured

SIGNING_KEY_FILE: Final = "audit-signing.pem"

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class SigningKey:
    """An Ed25519 key (RFC 8032). ``key_id`` is a short digest of its public half."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Take the private half."""
        self._private = private
        self.key_id = _key_id(private.public_key())

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the key kept in ``folder``, made there once: of several at a time, one wins.

        Raises:
            Misconfigured: ``signing_key_unsafe`` where others can read it, ``signing_key_invalid``
                where it is no key of ours.
        """
        path = folder / SIGNING_KEY_FILE
        if not path.exists():
            _create(path)
        return cls(_read(path))

    def sign(self, message: bytes) -> str:
        """Return the signature in hex."""
        return self._private.sign(message).hex()

    def public_pem(self) -> bytes:
        """Return the public half, to verify with anywhere."""
        return self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )


class TrustedKeys:
    """The public halves that an auditor believes."""

    def __init__(self, pems: Sequence[bytes]) -> None:
        """Take public keys in PEM.

        Raises:
            Misconfigured: ``public_key_invalid``.
        """
        keys = [_public(pem) for pem in pems]
        self._keys = {_key_id(key): key for key in keys}

    def knows(self, key_id: str) -> bool:
        """Return whether this key is believed at all."""
        return key_id in self._keys

    def verifies(self, message: bytes, *, key_id: str, signature: str) -> bool:
        """Return whether the key made this signature; no key that is not known did."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError):
            return False
        return True


def _create(path: Path) -> None:
    """Write a new key beside ``path`` and give it that name, unless somebody was first."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails where the name is taken, and whoever sees the name sees the whole key.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> Ed25519PrivateKey:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
            raise Misconfigured("signing_key_unsafe", path=str(path))
        pem = file.read()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise Misconfigured("signing_key_invalid", path=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured("signing_key_invalid", path=str(path))
    return key


def _public(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise Misconfigured("public_key_invalid") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured("public_key_invalid")
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]
