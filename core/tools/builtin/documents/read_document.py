"""The tool ``read_document``."""

from core.domain.tool import Risk
from core.tools.authoring import Context, Output, tool
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.views import DocumentView, OneDocument


class FullDocument(DocumentView):
    """A document with its content."""

    content: str


class DocumentRead(Output):
    """One document with its content, as it is now."""

    document: FullDocument


@tool(risk=Risk.SAFE, per_minute=60)
async def read_document(arguments: OneDocument, context: Context[DocumentStore]) -> DocumentRead:
    """Read one document.

    Returns its title, content, version, the author of that version and when it was written. Use it
    after search_documents, and before writing a new version.
    """
    read = await context.store.document(context.principal, document_id=arguments.document_id)
    return DocumentRead(
        document=FullDocument(**DocumentView.of(read.document).model_dump(), content=read.content)
    )
