"""What upstream servers answer, as plain JSON and text."""

import mcp_types

from core.domain.canonical import JsonObject
from core.domain.eraser import Eraser
from core.tools.faults import unstorable

_DETAIL = 1000


def text_of(told: mcp_types.CallToolResult, *, eraser: Eraser) -> str:
    """Return what an answer says, without the credential, as long as an error tells it."""
    texts = [block.text for block in told.content if isinstance(block, mcp_types.TextContent)]
    # Erased before it is cut: half a secret is not known again.
    said = eraser.text(" ".join(texts))[:_DETAIL]
    return "" if unstorable(said) else said


def block_of(block: mcp_types.ContentBlock) -> JsonObject:
    """Return a block of content as text; what is no text is told of, and left out."""
    match block:
        case mcp_types.TextContent():
            return {"type": "text", "text": block.text}
        case mcp_types.ResourceLink():
            return {"type": "resource_link", "uri": str(block.uri), "name": block.name}
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents() as resource):
            return {"type": "resource", "uri": str(resource.uri), "text": resource.text}
        case mcp_types.EmbeddedResource():
            return {"type": "resource", "uri": str(block.resource.uri), "left_out": True}
        case mcp_types.ImageContent() | mcp_types.AudioContent():
            return {"type": block.type, "mime_type": block.mime_type, "left_out": True}
