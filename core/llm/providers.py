"""Every provider there is, by the name that settings call it."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType

from core.errors import Misconfigured
from core.llm.fallback import FallbackModel, Link
from core.llm.prices import SCRIPTED
from core.llm.provided import ProvidedModel, ProviderConfig
from core.llm.scripted import ScriptedModel

BUILT_IN_SCRIPT = "builtin_script.yaml"


# A provider's SDK takes half a second to import: only a process that asks it pays for that.


def _anthropic(config: ProviderConfig) -> ProvidedModel:
    from core.llm.anthropic import ANTHROPIC, AnthropicModel  # noqa: PLC0415 - see above

    _needs_price(config)
    if not config.api_key:
        raise Misconfigured("no_api_key", provider=ANTHROPIC)
    return AnthropicModel(
        config.api_key,
        prices=config.prices,
        clock=config.clock,
        base_url=config.base_url,
        timeout_seconds=config.timeout_seconds,
    )


def _openai(config: ProviderConfig) -> ProvidedModel:
    from core.llm.openai_compatible import OPENAI, OpenAICompatibleModel  # noqa: PLC0415 - see above

    _needs_price(config)
    if not config.api_key and not config.base_url:
        raise Misconfigured("no_api_key", provider=OPENAI)
    return OpenAICompatibleModel(
        config.api_key,
        prices=config.prices,
        clock=config.clock,
        base_url=config.base_url,
        timeout_seconds=config.timeout_seconds,
    )


def _scripted(config: ProviderConfig) -> ProvidedModel:
    script = config.script
    if script is None:
        script = files("core.llm").joinpath(BUILT_IN_SCRIPT).read_text(encoding="utf-8")
    return ScriptedModel(script, prices=config.prices, clock=config.clock)


PROVIDERS: Mapping[str, Callable[[ProviderConfig], ProvidedModel]] = MappingProxyType(
    {"anthropic": _anthropic, "openai": _openai, SCRIPTED: _scripted}
)


def model_of(chain: Sequence[tuple[str, ProviderConfig]]) -> ProvidedModel:
    """Return the one provider of ``chain``, or all of them as a fallback chain in that order.

    The first is asked for the model that a prompt names, the others for their own ``config.model``.

    Raises:
        Misconfigured: ``unknown_provider``, ``no_api_key``, ``unknown_price``, ``invalid_script``.
    """
    links: list[Link] = []
    for provider, config in chain:
        build = PROVIDERS.get(provider)
        if build is None:
            raise Misconfigured("unknown_provider", provider=provider, known=sorted(PROVIDERS))
        links.append(
            Link(
                provider=provider,
                model=build(config),
                model_name=config.model if links else None,
            )
        )
    if len(links) == 1:
        return links[0].model
    return FallbackModel(links, clock=chain[0][1].clock)


def _needs_price(config: ProviderConfig) -> None:
    """Refuse a model without a price before anything is asked of it."""
    config.prices.price_of(config.model, on=config.clock.now().date())
