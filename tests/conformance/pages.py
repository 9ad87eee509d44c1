"""Resources, prompts and completions that the conformance suite reads."""

import json
import re
from collections.abc import Mapping
from typing import Final

from mcp import types

from tests.conformance.asking import accepted
from tests.conformance.content import PNG, STRING, embedded, image, takes, text

_TEMPLATE: Final = re.compile(r"test://template/([^/]+)/data")
_TEXTS: Final[Mapping[str, str]] = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content",
    "test://example-resource": "Example resource content",
}

RESOURCES: Final = (
    types.Resource(
        uri="test://static-text",
        name="static-text",
        description="A static text resource.",
        mime_type="text/plain",
    ),
    types.Resource(
        uri="test://static-binary",
        name="static-binary",
        description="A static binary resource.",
        mime_type="image/png",
    ),
    types.Resource(
        uri="test://watched-resource",
        name="watched-resource",
        description="A resource that can be subscribed to.",
        mime_type="text/plain",
    ),
)
TEMPLATES: Final = (
    types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="A template with a parameter.",
        mime_type="application/json",
    ),
)


def resource(uri: str) -> types.ReadResourceResult | None:
    """Return what is at ``uri``; None where it is none of ours."""
    if uri == "test://static-binary":
        return _page(types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG))
    if found := _TEMPLATE.fullmatch(uri):
        number = found[1]
        told = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
        return _page(
            types.TextResourceContents(
                uri=uri, mime_type="application/json", text=json.dumps(told, separators=(",", ":"))
            )
        )
    if uri in _TEXTS:
        return _page(types.TextResourceContents(uri=uri, mime_type="text/plain", text=_TEXTS[uri]))
    return None


def _page(
    contents: types.TextResourceContents | types.BlobResourceContents,
) -> types.ReadResourceResult:
    return types.ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")


def _argument(name: str) -> types.PromptArgument:
    return types.PromptArgument(name=name, description=f"The {name}.", required=True)


PROMPTS: Final = (
    types.Prompt(name="test_simple_prompt", description="A simple prompt."),
    types.Prompt(
        name="test_prompt_with_arguments",
        description="A prompt with arguments.",
        arguments=[_argument("arg1"), _argument("arg2")],
    ),
    types.Prompt(
        name="test_prompt_with_embedded_resource",
        description="A prompt with a resource in it.",
        arguments=[_argument("resourceUri")],
    ),
    types.Prompt(name="test_prompt_with_image", description="A prompt with an image in it."),
    types.Prompt(name="test_input_required_result_prompt", description="A prompt that asks back."),
)

_CONTEXT: Final = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="What context should the prompt use?", requested_schema=takes(context=STRING)
    )
)


def prompt(
    params: types.GetPromptRequestParams,
) -> types.GetPromptResult | types.InputRequiredResult | None:
    """Return a prompt, or what it still needs; None where it is none of ours."""
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            said = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            one, two = given["arg1"], given["arg2"]
            said = [text(f"Prompt with arguments: arg1='{one}', arg2='{two}'")]
        case "test_prompt_with_embedded_resource":
            page = embedded(given["resourceUri"], "Embedded resource content for testing.")
            said = [page, text("Please process the embedded resource above.")]
        case "test_prompt_with_image":
            said = [image(), text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            answered = accepted(params, "user_context")
            if answered is None:
                return types.InputRequiredResult(input_requests={"user_context": _CONTEXT})
            said = [text(f"In the context of {answered.get('context')}.")]
        case _:
            return None
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in said]
    )


def completion(params: types.CompleteRequestParams) -> types.CompleteResult | None:
    """Return what an argument may be; None where prompt or template is none of ours."""
    named = params.ref.name if isinstance(params.ref, types.PromptReference) else params.ref.uri
    if not named.startswith(("test_", "test://")):
        return None
    known = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(
        completion=types.Completion(values=known, total=len(known), has_more=False)
    )
