"""What the documents pack asks of its store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from core.domain.document import Document, DocumentId, DocumentText, Found, NewText
from core.domain.effect import Effect
from core.domain.principal import Principal


class DocumentStore(Protocol):
    """Documents of one tenant at a time; what is not there raises NotFound.

    What takes an ``effect`` happens once per key, and tells the same each time.
    """

    async def search(
        self, viewer: Principal, *, words: Sequence[str], limit: int
    ) -> Sequence[Found]:
        """Return documents that hold every word in title or content."""
        ...

    async def titled(self, viewer: Principal, *, containing: str, limit: int) -> Sequence[Document]:
        """Return documents by title, those that begin with the text first."""
        ...

    async def document(self, viewer: Principal, *, document_id: DocumentId) -> DocumentText:
        """Return one document with its content."""
        ...

    async def deleted_document(
        self, viewer: Principal, *, document_id: DocumentId, at: datetime
    ) -> Document:
        """Return one deleted document; ToolFailed ``too_late_to_undo`` after 30 days."""
        ...

    async def write(self, effect: Effect, *, new: NewText) -> Document:
        """Write a new document or the next version; ToolFailed ``wrong_version``."""
        ...

    async def take_back(self, effect: Effect, *, document_id: DocumentId, version: int) -> None:
        """Undo the write that made ``version``; ToolFailed ``changed_since``."""
        ...

    async def delete(self, effect: Effect, *, document_id: DocumentId) -> None:
        """Delete a document, so that it can be restored for 30 days."""
        ...

    async def restore(self, effect: Effect, *, document_id: DocumentId) -> Document:
        """Bring a deleted document back."""
        ...
