"""Documents and their versions: what the built-in ``documents`` pack is about."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

DocumentId = NewType("DocumentId", UUID)

DAYS_TO_RESTORE = 30
"""For how long what was deleted can be brought back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document without its content; ``author`` is the email of who wrote this version."""

    id: DocumentId
    title: str
    version: int
    author: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentText:
    """A document with its content."""

    document: Document
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A document that a search found, and the words around the first match."""

    document: Document
    snippet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewText:
    """What a document is to say. ``document_id`` None makes a new one.

    ``version`` is the one that the writer has read; None writes over whatever is there.
    """

    document_id: DocumentId | None
    title: str
    content: str
    version: int | None = None
