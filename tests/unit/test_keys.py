"""The signing key: made once, readable by its owner alone, and told apart from any other."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from core.errors import Misconfigured
from core.identity.keys import SIGNING_KEY_FILE, SigningKey, TrustedKeys


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first, again = SigningKey.open(folder), SigningKey.open(folder)
    assert first.key_id == again.key_id
    assert stat.S_IMODE((folder / SIGNING_KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [SIGNING_KEY_FILE]


def test_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(SigningKey.open, [tmp_path] * 32))
    assert len({key.key_id for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [SIGNING_KEY_FILE]


def test_a_signature_is_verified_with_the_public_half_alone(tmp_path: Path) -> None:
    key = SigningKey.open(tmp_path)
    trusted = TrustedKeys([key.public_pem()])
    signature = key.sign(b"head")
    assert trusted.knows(key.key_id)
    assert trusted.verifies(b"head", key_id=key.key_id, signature=signature)
    assert not trusted.verifies(b"other", key_id=key.key_id, signature=signature)
    assert not trusted.verifies(b"head", key_id=key.key_id, signature="no hex")


def test_another_keys_signature_is_not_believed(tmp_path: Path) -> None:
    key, other = SigningKey.open(tmp_path / "a"), SigningKey.open(tmp_path / "b")
    trusted = TrustedKeys([key.public_pem()])
    assert not trusted.knows(other.key_id)
    assert not trusted.verifies(b"head", key_id=other.key_id, signature=other.sign(b"head"))
    assert not trusted.verifies(b"head", key_id=key.key_id, signature=other.sign(b"head"))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    SigningKey.open(tmp_path)
    (tmp_path / SIGNING_KEY_FILE).chmod(0o640)
    with pytest.raises(Misconfigured, match="signing_key_unsafe"):
        SigningKey.open(tmp_path)


def test_a_key_file_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    SigningKey.open(tmp_path / "elsewhere")
    (tmp_path / SIGNING_KEY_FILE).symlink_to(tmp_path / "elsewhere" / SIGNING_KEY_FILE)
    with pytest.raises(OSError, match="symbolic"):
        SigningKey.open(tmp_path)


CURVE_KEY = generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    "pem",
    [
        b"not a key",
        CURVE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_a_file_that_is_no_key_of_ours_is_refused(tmp_path: Path, pem: bytes) -> None:
    path = tmp_path / SIGNING_KEY_FILE
    path.touch(mode=0o600)
    path.write_bytes(pem)
    with pytest.raises(Misconfigured, match="signing_key_invalid"):
        SigningKey.open(tmp_path)


@pytest.mark.parametrize(
    "pem",
    [
        b"not a key",
        CURVE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_no_public_key_of_ours_is_refused(pem: bytes) -> None:
    with pytest.raises(Misconfigured, match="public_key_invalid"):
        TrustedKeys([pem])
