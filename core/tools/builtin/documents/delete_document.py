"""The tool ``delete_document``."""

from typing import Literal

from core.domain.document import DocumentId
from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, Done, EffectContext, Output, tool
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.views import OneDocument, in_words


class DocumentDeleted(Output):
    """Which document is gone."""

    document_id: DocumentId
    deleted: Literal[True] = True


async def what_it_deletes(arguments: OneDocument, context: Context[DocumentStore]) -> Preview:
    """Show the document that would be gone."""
    there = await context.store.document(context.principal, document_id=arguments.document_id)
    document = there.document
    return Preview(
        summary=f"Delete the document {in_words(document)}.",
        target=in_words(document),
        changes=(
            Change(field="title", before=document.title, after=None),
            Change(field="version", before=str(document.version), after=None),
            Change(field="content", before=f"{len(there.content)} characters", after=None),
        ),
    )


@tool(risk=Risk.DESTRUCTIVE, preview=what_it_deletes, undo="restore_document", per_minute=30)
async def delete_document(
    arguments: OneDocument, context: EffectContext[DocumentStore]
) -> Done[DocumentDeleted]:
    """Delete one document. An approver is asked first.

    Returns the id of the document that is gone; it can be brought back for 30 days. Use it only
    when somebody clearly asks for this document to be deleted.
    """
    await context.store.delete(context.effect, document_id=arguments.document_id)
    return Done(
        DocumentDeleted(document_id=arguments.document_id),
        undo=OneDocument(document_id=arguments.document_id),
    )
