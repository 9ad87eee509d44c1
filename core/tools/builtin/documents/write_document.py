"""The tool ``write_document``."""

from pydantic import Field

from core.domain.document import DocumentId, NewText
from core.domain.tool import Change, Preview, Risk
from core.errors import ToolFailed
from core.tools.authoring import Arguments, Context, Done, EffectContext, tool
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.take_back_document_write import WrittenVersion
from core.tools.builtin.documents.views import (
    Content,
    DocumentResult,
    DocumentView,
    Title,
    Version,
    in_words,
)

_SHOWN = 2000


class WriteDocument(Arguments):
    """What the document is to say."""

    document_id: DocumentId | None = Field(
        None, description="The document to write over; null or left out makes a new one."
    )
    title: Title = Field(description="The title.")
    content: Content = Field(description="The whole content, as plain text or Markdown.")
    version: Version | None = Field(
        None,
        description="The version that was read; the write is refused where it has changed since.",
    )


async def what_it_writes(arguments: WriteDocument, context: Context[DocumentStore]) -> Preview:
    """Show title, content and version before and after; long contents by their beginning."""
    if arguments.document_id is None:
        return Preview(
            summary=f'Write the new document "{arguments.title}".',
            target=f'"{arguments.title}"',
            changes=(
                Change(field="title", before=None, after=arguments.title),
                Change(field="content", before=None, after=_shown(arguments.content)),
            ),
        )
    there = await context.store.document(context.principal, document_id=arguments.document_id)
    current = there.document.version
    if arguments.version not in {None, current}:
        raise ToolFailed("wrong_version", version=current)
    before = (there.document.title, _shown(there.content), str(current))
    after = (arguments.title, _shown(arguments.content), str(current + 1))
    return Preview(
        summary=f"Write over the document {in_words(there.document)}.",
        target=in_words(there.document),
        changes=tuple(
            Change(field=field, before=old, after=new)
            for field, old, new in zip(("title", "content", "version"), before, after, strict=True)
            if old != new
        ),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_writes, undo="take_back_document_write", per_minute=30)
async def write_document(
    arguments: WriteDocument, context: EffectContext[DocumentStore]
) -> Done[DocumentResult]:
    """Write a new document, or a new version over an old one.

    Returns id, title and version, without the content. Use it to note something down for the
    company; to change a document, read it first and send the whole new content with its version.
    """
    document = await context.store.write(
        context.effect,
        new=NewText(
            document_id=arguments.document_id,
            title=arguments.title,
            content=arguments.content,
            version=arguments.version,
        ),
    )
    return Done(
        DocumentResult(document=DocumentView.of(document)),
        undo=WrittenVersion(document_id=document.id, version=document.version),
    )


def _shown(content: str) -> str:
    # The version beside it and the arguments, both bound to the approval, tell every difference.
    if len(content) <= _SHOWN:
        return content
    return f"{content[:_SHOWN]}… ({len(content)} characters)"
