"""The tool ``search_documents``."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from core.domain.document import DocumentId
from core.domain.tool import Risk
from core.tools.authoring import Arguments, Context, Output, tool
from core.tools.builtin.documents.store import DocumentStore

_MOST_WORDS = 16


class SearchDocuments(Arguments):
    """What is looked for."""

    query: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
    ] = Field(description="Words that the document holds, all of them, in any order.")
    limit: int = Field(10, ge=1, le=50, description="How many documents to return at most.")


class DocumentFound(Output):
    """A document that holds the words, and what stands around the first of them."""

    id: DocumentId
    title: str
    version: int
    updated_at: datetime
    snippet: str


class DocumentsFound(Output):
    """The best matches first."""

    documents: list[DocumentFound]


@tool(risk=Risk.SAFE, per_minute=60, cost_micros=2000)
async def search_documents(
    arguments: SearchDocuments, context: Context[DocumentStore]
) -> DocumentsFound:
    """Search the company's documents for words in title and content.

    Returns id, title, version, time of the last change and a snippet of each, those with the words
    in the title first. Use it to find out what the company has written down, then read_document.
    """
    found = await context.store.search(
        context.principal, words=arguments.query.split()[:_MOST_WORDS], limit=arguments.limit
    )
    return DocumentsFound(
        documents=[
            DocumentFound(
                id=one.document.id,
                title=one.document.title,
                version=one.document.version,
                updated_at=one.document.updated_at,
                snippet=one.snippet,
            )
            for one in found
        ]
    )
