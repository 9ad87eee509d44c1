"""The master keys: they seal what must be read again, and never live in the database."""

import base64
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Misconfigured

MASTER_KEY_FILE: Final = "master.key"

_KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORMAT) + _ID_BYTES
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class MasterKeys:
    """A Cipher of several keys: the first seals, all open.

    AES-256-GCM (NIST SP 800-38D) with a random nonce. Sealed is one byte for this format, 8 bytes
    of key id, 12 of nonce, then ciphertext and tag; format, key id and context are authenticated.
    """

    def __init__(
        self, keys: Sequence[bytes], *, reread: Callable[[], Sequence[bytes]] | None = None
    ) -> None:
        """Take keys of 32 bytes, the newest first; ``reread`` says what they have become since.

        Raises:
            Misconfigured: ``master_key_invalid``: no key, or one of another length.
        """
        self._reread = reread
        self._take(keys)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Return the keys of a setting: 32 bytes each in base64, separated by commas.

        Raises:
            Misconfigured: ``master_key_invalid``, naming the place in the list, never the value.
        """
        return cls(_parsed(text, key="SALLYPORT_MASTER_KEY"))

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """Return the keys kept in ``folder``, made there once: of several at a time, one wins.

        A key that another process puts in front is found as soon as something was sealed under it.

        Raises:
            Misconfigured: ``master_key_unsafe`` where others can read it, ``master_key_invalid``
                where it is no key of ours.
        """
        path = folder / MASTER_KEY_FILE
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = _draft(path, keys=[secrets.token_bytes(_KEY_BYTES)])
            try:
                # A link fails where the name is taken; whoever sees the name sees the whole key.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return cls(_read(path), reread=lambda: _read(path))

    @property
    def newest(self) -> str:
        """The id of the key that seals, in hex; it tells nothing about the key."""
        return self._newest.hex()

    def key_id_of(self, sealed: bytes) -> str:
        """Return the id of the key that ``sealed`` says it was sealed under, in hex."""
        return sealed[len(_FORMAT) : _HEAD_BYTES].hex()

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """Return ``plaintext`` sealed, under the newest key; ``context`` is bound to it."""
        head = _FORMAT + self._newest
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        return head + nonce + cipher.encrypt(nonce, plaintext, head + context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Return what was sealed in the same ``context``.

        Raises:
            Misconfigured: ``master_key_unknown``: sealed under a key that is not there, or another
                context, or changed since.
        """
        head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        key_id = head[len(_FORMAT) :]
        if key_id not in self._ciphers and self._reread is not None:
            self._take(self._reread())
        cipher = self._ciphers.get(key_id)
        if cipher is None or not head.startswith(_FORMAT):
            raise Misconfigured("master_key_unknown", key_id=key_id.hex())
        body = sealed[_HEAD_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, head + context.encode())
        except (InvalidTag, ValueError) as error:
            raise Misconfigured("master_key_unknown", key_id=key_id.hex()) from error

    def reseal(self, sealed: bytes, *, context: str) -> bytes | None:
        """Return the same under the newest key, None where it is under that already.

        Raises:
            Misconfigured: ``master_key_unknown``, as ``open``.
        """
        if self.key_id_of(sealed) == self.newest:
            return None
        return self.seal(self.open(sealed, context=context), context=context)

    def _take(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise Misconfigured("master_key_invalid", key="keys", detail="each key is 32 bytes")
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._newest = _id_of(keys[0])


class NoMasterKey:
    """The Keyring of an installation that was given no key: whoever needs it is told to set one."""

    @property
    def newest(self) -> NoReturn:
        """Refuse, as everything here does.

        Raises:
            Misconfigured: ``master_key_missing``, always.
        """
        raise Misconfigured("master_key_missing")

    def key_id_of(self, sealed: bytes) -> NoReturn:
        """Refuse."""
        del sealed
        raise Misconfigured("master_key_missing")

    def reseal(self, sealed: bytes, *, context: str) -> NoReturn:
        """Refuse."""
        del sealed, context
        raise Misconfigured("master_key_missing")

    def seal(self, plaintext: bytes, *, context: str) -> NoReturn:
        """Refuse."""
        del plaintext, context
        raise Misconfigured("master_key_missing")

    def open(self, sealed: bytes, *, context: str) -> NoReturn:
        """Refuse."""
        del sealed, context
        raise Misconfigured("master_key_missing")


def put_new_key_first(folder: Path) -> str:
    """Put a new key in front of those in ``folder``, in one step; return its id in hex.

    Raises:
        Misconfigured: as ``MasterKeys.in_folder``.
    """
    path = folder / MASTER_KEY_FILE
    MasterKeys.in_folder(folder)
    newest = secrets.token_bytes(_KEY_BYTES)
    _draft(path, keys=[newest, *_read(path)]).replace(path)
    return _id_of(newest).hex()


def _id_of(key: bytes) -> bytes:
    return hmac.digest(key, b"sallyport master key id", "sha256")[:_ID_BYTES]


def _parsed(text: str, *, key: str) -> list[bytes]:
    parts = [part.strip() for part in text.split(",")]
    return [_key(part, place=place, key=key) for place, part in enumerate(parts, start=1)]


def _key(text: str, *, place: int, key: str) -> bytes:
    # Whoever makes a key with another tool may get the alphabet of RFC 4648 section 5.
    plain = text.replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        # Without its cause, which could be traced back to the text of a key.
        raw = b""
    if len(raw) != _KEY_BYTES:
        detail = f"key {place} is not {_KEY_BYTES} bytes in base64"
        raise Misconfigured("master_key_invalid", key=key, detail=detail)
    return raw


def _draft(path: Path, *, keys: Sequence[bytes]) -> Path:
    """Write ``keys`` whole, and for its owner alone, beside ``path``; return where."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    text = ",".join(base64.b64encode(key).decode() for key in keys)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _read(path: Path) -> list[bytes]:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
            raise Misconfigured("master_key_unsafe", path=str(path))
        text = file.read().decode("ascii", errors="replace")
    return _parsed(text.strip(), key=str(path))
