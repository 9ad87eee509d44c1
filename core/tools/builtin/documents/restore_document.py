"""The tool ``restore_document``: takes ``delete_document`` back."""

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, EffectContext, tool
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.views import (
    DocumentResult,
    DocumentView,
    OneDocument,
    in_words,
)


async def what_it_restores(arguments: OneDocument, context: Context[DocumentStore]) -> Preview:
    """Show the document that would be back."""
    document = await context.store.deleted_document(
        context.principal, document_id=arguments.document_id, at=context.now
    )
    return Preview(
        summary=f"Bring back the document {in_words(document)}.",
        target=in_words(document),
        changes=(Change(field="document", before=None, after=document.title),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_restores, per_minute=30, listed=False)
async def restore_document(
    arguments: OneDocument, context: EffectContext[DocumentStore]
) -> DocumentResult:
    """Bring back a document that was deleted in the last 30 days.

    Returns the document without its content. Only Undo uses it.
    """
    document = await context.store.restore(context.effect, document_id=arguments.document_id)
    return DocumentResult(document=DocumentView.of(document))
