"""The master keys: what they seal opens in its own place, under any key that is still there."""

import base64
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured
from core.identity.master import MASTER_KEY_FILE, MasterKeys, NoMasterKey, put_new_key_first
from core.words import sentence_of

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def text_of(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


@given(plaintext=st.binary(max_size=200), context=st.text(max_size=50))
def test_what_was_sealed_opens_in_its_context(plaintext: bytes, context: str) -> None:
    keys = MasterKeys([OLD])
    sealed = keys.seal(plaintext, context=context)
    assert keys.open(sealed, context=context) == plaintext
    assert keys.key_id_of(sealed) == keys.newest
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        keys.open(sealed, context=context + "/other")


def test_sealing_twice_tells_nobody_that_it_is_the_same() -> None:
    keys = MasterKeys([OLD])
    assert keys.seal(b"same", context="c") != keys.seal(b"same", context="c")


@given(place=st.integers(0, 200), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_is_seen(place: int, bit: int) -> None:
    keys = MasterKeys([OLD])
    sealed = bytearray(keys.seal(b"a secret", context="c"))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        keys.open(bytes(sealed), context="c")


@pytest.mark.parametrize("length", [0, 1, 8, 9, 20, 21, 36])
def test_what_is_too_short_to_be_sealed_does_not_open(length: int) -> None:
    keys = MasterKeys([OLD])
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        keys.open(keys.seal(b"", context="c")[:length], context="c")


def test_the_first_key_seals_and_every_key_opens() -> None:
    before, both = MasterKeys([OLD]), MasterKeys([NEW, OLD])
    old = before.seal(b"a secret", context="c")
    assert both.open(old, context="c") == b"a secret"
    new = both.seal(b"a secret", context="c")
    assert both.key_id_of(new) == both.newest == MasterKeys([NEW]).newest
    with pytest.raises(Misconfigured) as unknown:
        before.open(new, context="c")
    assert unknown.value.facts["key_id"] == both.newest


def test_resealing_moves_to_the_newest_key_once() -> None:
    both = MasterKeys([NEW, OLD])
    old = MasterKeys([OLD]).seal(b"a secret", context="c")
    new = both.reseal(old, context="c")
    assert new is not None
    assert MasterKeys([NEW]).open(new, context="c") == b"a secret"
    assert both.reseal(new, context="c") is None
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        both.reseal(old, context="another")


def test_an_id_tells_one_key_from_another_and_nothing_else() -> None:
    first, second = MasterKeys([OLD]), MasterKeys([NEW])
    assert first.newest == MasterKeys([OLD, NEW]).newest != second.newest
    assert first.newest not in OLD.hex()


def test_a_setting_is_a_list_in_either_alphabet() -> None:
    key = b"\xfb\xef\xff" * 10 + b"\xff\xfe"
    given = base64.urlsafe_b64encode(key).decode().rstrip("=")
    assert MasterKeys.of_text(f" {given} , {text_of(OLD)}\n").newest == MasterKeys([key]).newest


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("not base64!", 1),
        ("schlüssel", 1),
        (text_of(OLD[:16]), 1),
        (f"{text_of(OLD)},", 2),
        (text_of(OLD, NEW + b"x"), 2),
    ],
)
def test_a_key_that_is_none_is_named_by_its_place(text: str, place: int) -> None:
    with pytest.raises(Misconfigured) as refusal:
        MasterKeys.of_text(text)
    told = sentence_of(refusal.value)
    assert refusal.value.code == "master_key_invalid"
    assert refusal.value.__context__ is None
    assert f"key {place} is not 32 bytes" in told
    assert "SALLYPORT_MASTER_KEY" in told


@pytest.mark.parametrize("keys", [[], [OLD, b"short"]])
def test_keys_of_another_length_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(Misconfigured, match="master_key_invalid"):
        MasterKeys(keys)


def test_a_folder_gets_one_key_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first, again = MasterKeys.in_folder(folder), MasterKeys.in_folder(folder)
    assert first.newest == again.newest
    assert stat.S_IMODE((folder / MASTER_KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [MASTER_KEY_FILE]


def test_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(MasterKeys.in_folder, [tmp_path] * 32))
    assert len({key.newest for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [MASTER_KEY_FILE]


def test_a_new_key_in_a_folder_is_found_by_who_runs_already(tmp_path: Path) -> None:
    running = MasterKeys.in_folder(tmp_path)
    old = running.seal(b"old", context="c")
    newest = put_new_key_first(tmp_path)
    new = MasterKeys.in_folder(tmp_path).seal(b"new", context="c")
    assert running.open(new, context="c") == b"new"
    assert running.newest == newest
    assert running.open(old, context="c") == b"old"
    assert stat.S_IMODE((tmp_path / MASTER_KEY_FILE).stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    MasterKeys.in_folder(tmp_path)
    (tmp_path / MASTER_KEY_FILE).chmod(0o640)
    with pytest.raises(Misconfigured, match="master_key_unsafe"):
        MasterKeys.in_folder(tmp_path)


def test_a_key_file_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    MasterKeys.in_folder(tmp_path / "elsewhere")
    (tmp_path / MASTER_KEY_FILE).symlink_to(tmp_path / "elsewhere" / MASTER_KEY_FILE)
    with pytest.raises(OSError, match="symbolic"):
        MasterKeys.in_folder(tmp_path)


def test_a_file_that_holds_no_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / MASTER_KEY_FILE
    path.touch(mode=0o600)
    path.write_bytes(b"\xff\xfe no key")
    with pytest.raises(Misconfigured, match="master_key_invalid") as refusal:
        MasterKeys.in_folder(tmp_path)
    assert "no key" not in sentence_of(refusal.value)


def test_without_a_key_whoever_needs_one_is_told_to_set_it() -> None:
    none = NoMasterKey()
    for needs in (
        lambda: none.newest,
        lambda: none.seal(b"", context=""),
        lambda: none.open(b"", context=""),
        lambda: none.reseal(b"", context=""),
        lambda: none.key_id_of(b""),
    ):
        with pytest.raises(Misconfigured) as refusal:
            needs()
        assert "SALLYPORT_MASTER_KEY" in sentence_of(refusal.value)


def test_a_random_key_works_as_the_guide_makes_it() -> None:
    made = base64.b64encode(secrets.token_bytes(32)).decode()
    keys = MasterKeys.of_text(made)
    assert keys.open(keys.seal(b"x", context="c"), context="c") == b"x"
