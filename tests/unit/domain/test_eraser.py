"""The eraser: a secret is blotted out in whatever form a program repeats it, and nothing else."""

import base64
import json
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import canonical_json
from core.domain.eraser import ERASED, Eraser

SECRET = 'p4ss/wörd+"x"= y?'
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
SECRETS = st.text(st.characters(codec="utf-8"), min_size=8, max_size=60)


@pytest.mark.parametrize(
    "repeated",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_each_form_is_found_within_other_text(repeated: str) -> None:
    eraser = Eraser(SECRET)
    text = f"before {repeated} after"
    assert eraser.finds(text)
    erased = eraser.text(text)
    assert erased.startswith("before ")
    assert erased.endswith(" after")
    assert ERASED in erased
    assert not eraser.finds(erased)


@given(before=st.binary(max_size=10), after=st.binary(max_size=10))
def test_base64_is_found_whatever_goes_before_and_after(before: bytes, after: bytes) -> None:
    told = base64.b64encode(before + SECRET.encode() + after).decode()
    erased = Eraser(SECRET).text(told)
    assert ERASED in erased
    # At most the two characters at each end that belong to its neighbours too.
    assert len(erased) <= len(ERASED) + (len(before) + len(after)) * 8 / 6 + 8


@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_no_text_keeps_a_secret(secret: str, before: str, after: str) -> None:
    eraser = Eraser(secret)
    assert secret not in eraser.text(before + secret + after).replace(ERASED, "\x00")


@given(value=st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_what_repeats_no_secret_is_left_as_it_is(value: object) -> None:
    told = {"value": value, "n": 5, "yes": True, "nothing": None}
    assert Eraser("a secret that nobody has said").object(told) == told  # pyright: ignore[reportArgumentType] - JSON by construction
    assert Eraser().object(told) is told  # pyright: ignore[reportArgumentType] - the same


def test_keys_and_values_are_erased_at_any_depth() -> None:
    erased = Eraser(SECRET).object({SECRET: [{"a": (1, None, f"<{SECRET}>")}]})
    assert erased == {ERASED: [{"a": [1, None, f"<{ERASED}>"]}]}
    assert not Eraser(SECRET).finds(canonical_json(erased))


def test_lines_of_a_key_are_erased_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nshort\n-----END KEY-----\n"
    erased = Eraser(key).text("it says MIIEvQIBADANBgkqhkiG9w0B and short")
    assert erased == f"it says {ERASED} and short"


def test_of_two_secrets_the_longer_one_leaves_nothing_standing() -> None:
    eraser = Eraser("password", "password-and-more")
    assert eraser.text("password-and-more, password") == f"{ERASED}, {ERASED}"


def test_an_eraser_shows_no_secret_itself() -> None:
    eraser = Eraser(SECRET)
    assert eraser
    assert not Eraser()
    for shown in (repr(eraser), str(eraser), f"{eraser}", f"{eraser!r:>40}"):
        assert SECRET not in shown
    with pytest.raises(TypeError, match="stays where it is"):
        pickle.dumps(eraser)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(eraser)
