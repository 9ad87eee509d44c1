"""What the tools of this pack take and return in common."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from core.domain.document import Document, DocumentId
from core.tools.authoring import Arguments, Output

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Content = Annotated[str, StringConstraints(max_length=50_000)]
Version = Annotated[int, Field(ge=1, le=2_000_000_000)]


class OneDocument(Arguments):
    """Names a document."""

    document_id: DocumentId = Field(
        description="The id of the document, as search_documents returns it."
    )


class DocumentView(Output):
    """A document as models and people see it, without its content."""

    id: DocumentId
    title: str
    version: int
    author: str
    updated_at: datetime

    @classmethod
    def of(cls, document: Document) -> "DocumentView":
        """Return the view of ``document``."""
        return cls(
            id=document.id,
            title=document.title,
            version=document.version,
            author=document.author,
            updated_at=document.updated_at,
        )


class DocumentResult(Output):
    """One document, as it is now."""

    document: DocumentView


def in_words(document: Document) -> str:
    """Return how a document is named on a card."""
    return f'"{document.title}"'
