"""The tools of the documents pack, in the order a reader wants them."""

from core.tools.authoring import Pack
from core.tools.builtin.documents.delete_document import delete_document
from core.tools.builtin.documents.prompts import PROMPTS
from core.tools.builtin.documents.read_document import read_document
from core.tools.builtin.documents.restore_document import restore_document
from core.tools.builtin.documents.search_documents import search_documents
from core.tools.builtin.documents.store import DocumentStore
from core.tools.builtin.documents.take_back_document_write import take_back_document_write
from core.tools.builtin.documents.write_document import write_document

DOCUMENTS: Pack[DocumentStore] = Pack(
    name="documents",
    tools=(
        search_documents,
        read_document,
        write_document,
        delete_document,
        # Only Undo calls these.
        take_back_document_write,
        restore_document,
    ),
    prompts=PROMPTS,
)
