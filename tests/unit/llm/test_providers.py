import pytest

from core.errors import Misconfigured
from core.llm.fallback import FallbackModel
from core.llm.prices import DEFAULT_MODELS, PriceTable
from core.llm.provided import ProviderConfig
from core.llm.providers import PROVIDERS, model_of
from tests.unit.llm.conversations import Listener, SettableClock, prompt
from tests.unit.llm.recordings import chat
from tests.unit.llm.wire import Wire, failing

pytestmark = pytest.mark.together("providers")

SCRIPT = "scripts: [{contains: go, turns: [{say: Gone.}]}]"


def config(
    model: str = "claude-sonnet-5-5",
    *,
    api_key: str | None = "k",
    base_url: str | None = None,
    script: str | None = None,
) -> ProviderConfig:
    return ProviderConfig(
        prices=PriceTable(),
        clock=SettableClock(),
        model=model,
        api_key=api_key,
        base_url=base_url,
        script=script,
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("anthropic", "AnthropicModel"),
        ("openai", "OpenAICompatibleModel"),
        ("scripted", "ScriptedModel"),
    ],
)
async def test_each_name_builds_its_provider(name: str, kind: str) -> None:
    model = model_of([(name, config(DEFAULT_MODELS[name], script=SCRIPT))])
    assert type(model).__name__ == kind
    await model.close()


def test_every_provider_has_a_default_model_with_a_price() -> None:
    assert set(DEFAULT_MODELS) == set(PROVIDERS)
    for name in DEFAULT_MODELS.values():
        PriceTable().price_of(name, on=SettableClock().now().date())


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("anthropic", config("claude-nobody"), "unknown_price"),
        ("openai", config("gpt-nobody"), "unknown_price"),
        ("anthropic", config(api_key=None), "no_api_key"),
        ("openai", config("gpt-6.1-sol", api_key=""), "no_api_key"),
        ("scripted", config(script="scripts:"), "invalid_script"),
        ("bard", config(), "unknown_provider"),
    ],
)
def test_a_provider_that_cannot_work_is_refused_before_anything_is_asked(
    name: str, given: ProviderConfig, code: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        model_of([(name, given)])
    assert caught.value.code == code


async def test_a_server_of_ones_own_needs_no_key() -> None:
    model = model_of([("openai", config("gpt-6.1-sol", api_key=None, base_url="http://[::1]/v1"))])
    await model.close()


async def test_several_names_are_a_chain_in_that_order(provider: Wire) -> None:
    provider.reset(failing(401, "authentication_error"), chat(["Gone too."]))
    model = model_of(
        [
            ("anthropic", config(base_url=provider.url)),
            ("openai", config("gpt-6.1-sol", base_url=provider.url)),
            ("scripted", config("scripted", script=SCRIPT)),
        ]
    )
    assert isinstance(model, FallbackModel)
    answer = await model.answer(prompt("go"), on_text=Listener())
    assert (answer.provider, answer.model, answer.text) == ("openai", "gpt-6.1-sol", "Gone too.")
    assert answer.refused_attempts == (("anthropic", "model_failed"),)
    assert [sent.body["model"] for sent in provider.requests] == [
        "claude-sonnet-5-5",
        "gpt-6.1-sol",
    ]
    await model.close()
