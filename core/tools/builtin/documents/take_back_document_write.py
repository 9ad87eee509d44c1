"""The tool ``take_back_document_write``: takes ``write_document`` back."""

from typing import Literal

from pydantic import Field

from core.domain.document import DocumentId
from core.domain.tool import Change, Preview, Risk
from core.errors import ToolFailed
from core.tools.authoring import Context, EffectContext, Output, tool
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.views import OneDocument, Version, in_words


class WrittenVersion(OneDocument):
    """Names what one write has made."""

    version: Version = Field(description="The version that the write made.")


class WriteTakenBack(Output):
    """Which write is undone; of a first version, the document is gone."""

    document_id: DocumentId
    taken_back: Literal[True] = True


async def what_it_takes_back(arguments: WrittenVersion, context: Context[DocumentStore]) -> Preview:
    """Show which version would go."""
    there = (
        await context.store.document(context.principal, document_id=arguments.document_id)
    ).document
    if there.version != arguments.version:
        raise ToolFailed("changed_since", noun="document")
    return Preview(
        summary=f"Take back version {there.version} of the document {in_words(there)}.",
        target=in_words(there),
        changes=(
            Change(
                field="content",
                before=f"version {there.version}",
                after=f"as in version {there.version - 1}" if there.version > 1 else None,
            ),
        ),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_takes_back, per_minute=30, listed=False)
async def take_back_document_write(
    arguments: WrittenVersion, context: EffectContext[DocumentStore]
) -> WriteTakenBack:
    """Undo one write of a document that nobody has written over since.

    Returns its id. Only Undo uses it.
    """
    await context.store.take_back(
        context.effect, document_id=arguments.document_id, version=arguments.version
    )
    return WriteTakenBack(document_id=arguments.document_id)
