import asyncio

import pytest

from core.errors import ModelFailed, ModelOverloaded
from core.llm.asking import Retries
from core.llm.provided import ProvidedModel
from tests.unit.llm.conversations import Listener, SettableClock, Waits, prompt
from tests.unit.llm.models import claude_at
from tests.unit.llm.recordings import claude, claude_error
from tests.unit.llm.wire import Reply, Wire, failing

pytestmark = pytest.mark.together("providers")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "900"}, 30.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Sun, 01 Nov 2026 09:00:04 GMT"}, 4.0),
        ({"retry-after": "soon"}, 0.5),
        ({"retry-after": "Sun, 01 Nov 2026 09:00:04"}, 0.5),
        ({}, 0.5),
    ],
)
async def test_a_rate_limit_is_waited_out_for_as_long_as_asked(
    claude_model: ProvidedModel,
    provider: Wire,
    waits: Waits,
    headers: dict[str, str],
    wait: float,
) -> None:
    provider.reset(failing(429, "rate_limit_error", headers=headers), claude(["Now."]))
    answer = await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert answer.text == "Now."
    assert waits.seconds == [wait]
    assert answer.duration_ms == round(wait * 1000)


@pytest.mark.parametrize(
    ("reply", "status", "detail"),
    [
        (failing(429, "rate_limit_error"), 429, "rate_limit_error"),
        (failing(500, "api_error"), 500, "api_error"),
        (failing(529, "overloaded_error"), 529, "overloaded_error"),
        (Reply(status=503, chunks=["<html>secret</html>"]), 503, "unknown_error"),
        (claude_error("overloaded_error"), 200, "overloaded_error"),
        (claude_error("something secret\nand long"), 200, "unknown_error"),
        (claude(["Half "], whole=False), None, "cut_off"),
        (claude(["Half "], whole=False, then="break"), None, "connection_error"),
        (
            Reply(headers=claude().headers, chunks=["event: message_start\ndata: {secret\n\n"]),
            None,
            "malformed_stream",
        ),
    ],
)
async def test_an_overloaded_provider_is_asked_four_times_and_no_more(
    claude_model: ProvidedModel,
    provider: Wire,
    waits: Waits,
    reply: Reply,
    status: int | None,
    detail: str,
) -> None:
    provider.reset(reply)
    with pytest.raises(ModelOverloaded) as caught:
        await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert caught.value.code == "model_overloaded"
    facts = dict(caught.value.facts)
    assert facts.pop("retry_after_seconds") is None
    assert facts == {"provider": "anthropic", "status": status, "detail": detail, "attempts": 4}
    assert len(provider.requests) == 4
    assert waits.seconds == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "billing_error"),
    ],
)
async def test_a_refused_request_is_not_asked_again_and_tells_no_content(
    claude_model: ProvidedModel, provider: Wire, status: int, kind: str
) -> None:
    provider.reset(failing(status, kind))
    with pytest.raises(ModelFailed) as caught:
        await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert not isinstance(caught.value, ModelOverloaded)
    assert caught.value.code == "model_failed"
    assert caught.value.facts == {"provider": "anthropic", "status": status, "detail": kind}
    assert len(provider.requests) == 1


async def test_a_refusal_within_the_stream_is_not_asked_again(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(claude_error("invalid_request_error"))
    with pytest.raises(ModelFailed) as caught:
        await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert not isinstance(caught.value, ModelOverloaded)


async def test_text_of_a_broken_stream_is_heard_again_but_answered_once(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(claude_error("overloaded_error"), claude(["Half ", "and whole."]))
    listener = Listener()
    answer = await claude_model.answer(prompt("Hi"), on_text=listener)
    assert listener.heard == ["Half ", "Half ", "and whole."]
    assert answer.text == "Half and whole."


async def test_nobody_there_is_overloaded(clock: SettableClock, waits: Waits) -> None:
    model = claude_at("http://127.0.0.1:9", clock=clock, retries=Retries(sleep=waits))
    with pytest.raises(ModelOverloaded) as caught:
        await model.answer(prompt("Hi"), on_text=Listener())
    assert caught.value.facts["detail"] == "connection_error"
    assert 0.375 <= waits.seconds[0] <= 0.5
    await model.close()


@pytest.mark.parametrize(
    "reply", [Reply(chunks=[], then="silence"), claude(["Half "], whole=False, then="silence")]
)
async def test_silence_ends_after_the_timeout(
    provider: Wire, clock: SettableClock, reply: Reply
) -> None:
    provider.reset(reply)
    model = claude_at(provider.url, clock=clock, timeout_seconds=0.1, retries=Retries(most=0))
    with pytest.raises(ModelOverloaded) as caught:
        await model.answer(prompt("Hi"), on_text=Listener())
    assert caught.value.facts["detail"] == "timeout"
    assert await asyncio.to_thread(provider.hung_up.wait, 5)
    await model.close()


async def test_what_the_listener_raises_is_not_the_providers_fault(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    async def deaf(_: str) -> None:
        raise TimeoutError

    provider.reset(claude(["Hear"]))
    with pytest.raises(TimeoutError):
        await claude_model.answer(prompt("Hi"), on_text=deaf)
    assert len(provider.requests) == 1
