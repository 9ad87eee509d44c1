"""Documents in PostgreSQL, with every version that was written over."""

from collections.abc import Sequence
from datetime import datetime, timedelta

# Any: SQLAlchemy types a row by the tuple of its columns, which the mapper below names once.
from typing import Any
from uuid import UUID, uuid5

from pydantic import TypeAdapter
from sqlalchemy import Row, Select, and_, func, insert, or_, select, update

from core.domain.document import (
    DAYS_TO_RESTORE,
    Document,
    DocumentId,
    DocumentText,
    Found,
    NewText,
)
from core.domain.effect import Effect
from core.domain.principal import Principal
from core.errors import NotFound, ToolFailed
from core.store.database import Database
from core.store.effects import Effects, Once
from core.store.suggestions import likeliest
from core.store.tables import document_versions, documents, principals

_DOCUMENTS = UUID("5a11f0e7-0000-4000-8000-000000000013")
_DOCUMENT = TypeAdapter(Document)
_SNIPPET = 200
_BEFORE_MATCH = 60

AnyRow = Row[*tuple[Any, ...]]


class DocumentRepository:
    """The store of the built-in ``documents`` pack: everybody of a tenant reads and writes all."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database
        self._effects = Effects(database)

    async def search(
        self, viewer: Principal, *, words: Sequence[str], limit: int
    ) -> Sequence[Found]:
        """Return documents that hold every word in title or content.

        Those with all words in the title come first, then the newest.
        """
        column = documents.c
        first = words[0].lower() if words else ""
        start = func.greatest(1, func.strpos(func.lower(column.content), first) - _BEFORE_MATCH)
        named = and_(*(column.title.icontains(word, autoescape=True) for word in words))
        query = (
            _of(viewer, func.substr(column.content, start, _SNIPPET).label("snippet"))
            .where(
                column.deleted_at.is_(None),
                *(
                    or_(
                        column.title.icontains(word, autoescape=True),
                        column.content.icontains(word, autoescape=True),
                    )
                    for word in words
                ),
            )
            .order_by(*([named.desc()] if words else []), column.updated_at.desc(), column.id)
            .limit(limit)
        )
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            rows = await connection.execute(query)
            return [Found(document=_document_of(row), snippet=row.snippet) for row in rows]

    async def titled(self, viewer: Principal, *, containing: str, limit: int) -> Sequence[Document]:
        """Return documents whose title holds the text, those that begin with it first."""
        query = _of(viewer).where(documents.c.deleted_at.is_(None))
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            rows = await connection.execute(
                likeliest(query, named=documents.c.title, text=containing).limit(limit)
            )
            return [_document_of(row) for row in rows]

    async def document(self, viewer: Principal, *, document_id: DocumentId) -> DocumentText:
        """Return one document with its content.

        Raises:
            NotFound: no such document.
        """
        query = _of(viewer, documents.c.content).where(
            documents.c.id == document_id, documents.c.deleted_at.is_(None)
        )
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("not_found", noun="document")
        return DocumentText(document=_document_of(row), content=row.content)

    async def deleted_document(
        self, viewer: Principal, *, document_id: DocumentId, at: datetime
    ) -> Document:
        """Return one deleted document that can still be brought back at ``at``.

        Raises:
            NotFound: no such deleted document.
            ToolFailed: ``too_late_to_undo``.
        """
        query = _of(viewer).where(
            documents.c.id == document_id, documents.c.deleted_at.is_not(None)
        )
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _document_of(_restorable(row, at=at))

    async def write(self, effect: Effect, *, new: NewText) -> Document:
        """Write a document once, a new one or the next version, and return it.

        Raises:
            NotFound: no such document.
            ToolFailed: ``wrong_version``: it is not what the writer has read.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _DOCUMENT.validate_python(once.prior)
            if new.document_id is None:
                document_id = DocumentId(uuid5(_DOCUMENTS, effect.key))
                await once.connection.execute(
                    insert(documents).values(
                        tenant_id=effect.tenant_id,
                        id=document_id,
                        title=new.title,
                        content=new.content,
                        author_id=effect.principal.id,
                    )
                )
            else:
                document_id = new.document_id
                current = await _locked(once, effect=effect, document_id=document_id)
                if new.version not in {None, current.version}:
                    raise ToolFailed("wrong_version", version=current.version)
                await _write_over(once, effect=effect, current=current, new=new)
            return await _recorded(once, effect=effect, document_id=document_id)

    async def take_back(self, effect: Effect, *, document_id: DocumentId, version: int) -> None:
        """Undo, once, the write that made ``version``: the first deletes, a later one rewrites.

        Raises:
            NotFound: no such document.
            ToolFailed: ``changed_since``: somebody has written a later version.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return
            current = await _locked(once, effect=effect, document_id=document_id)
            if current.version != version:
                raise ToolFailed("changed_since", noun="document")
            once.record({"version": version})
            if version == 1:
                await _delete(once, effect=effect, document_id=document_id)
                return
            written = document_versions.c
            before = (
                await once.connection.execute(
                    select(written.title, written.content).where(
                        written.tenant_id == effect.tenant_id,
                        written.document_id == document_id,
                        written.version == version - 1,
                    )
                )
            ).one()
            new = NewText(document_id=document_id, title=before.title, content=before.content)
            await _write_over(once, effect=effect, current=current, new=new)

    async def delete(self, effect: Effect, *, document_id: DocumentId) -> None:
        """Delete a document once; it can be restored for 30 days.

        Raises:
            NotFound: no such document.
        """
        async with self._effects.once(effect) as once:
            if once.prior is None:
                await _locked(once, effect=effect, document_id=document_id)
                await _delete(once, effect=effect, document_id=document_id)
                once.record({"deleted": str(document_id)})

    async def restore(self, effect: Effect, *, document_id: DocumentId) -> Document:
        """Bring a deleted document back once.

        Raises:
            NotFound: no such deleted document.
            ToolFailed: ``too_late_to_undo``.
        """
        column = documents.c
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _DOCUMENT.validate_python(once.prior)
            row = (
                await once.connection.execute(
                    _of(effect.principal)
                    .where(column.id == document_id, column.deleted_at.is_not(None))
                    .with_for_update(of=documents)
                )
            ).one_or_none()
            _restorable(row, at=effect.at)
            await once.connection.execute(
                update(documents)
                .where(column.tenant_id == effect.tenant_id, column.id == document_id)
                .values(deleted_at=None, deleted_by=None)
            )
            return await _recorded(once, effect=effect, document_id=document_id)


def _of(viewer: Principal, *more: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 - any column
    column = documents.c
    return (
        select(
            column.id,
            column.title,
            column.version,
            principals.c.email.label("author"),
            column.updated_at,
            column.deleted_at,
            *more,
        )
        .join_from(
            documents,
            principals,
            and_(principals.c.tenant_id == column.tenant_id, principals.c.id == column.author_id),
        )
        .where(column.tenant_id == viewer.tenant_id)
    )


async def _locked(once: Once, *, effect: Effect, document_id: DocumentId) -> AnyRow:
    row = (
        await once.connection.execute(
            select(documents)
            .where(
                documents.c.tenant_id == effect.tenant_id,
                documents.c.id == document_id,
                documents.c.deleted_at.is_(None),
            )
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFound("not_found", noun="document")
    return row


async def _write_over(once: Once, *, effect: Effect, current: AnyRow, new: NewText) -> None:
    await once.connection.execute(
        insert(document_versions).values(
            tenant_id=effect.tenant_id,
            document_id=current.id,
            version=current.version,
            title=current.title,
            content=current.content,
            author_id=current.author_id,
            written_at=current.updated_at,
        )
    )
    await once.connection.execute(
        update(documents)
        .where(documents.c.tenant_id == effect.tenant_id, documents.c.id == current.id)
        .values(
            title=new.title,
            content=new.content,
            version=current.version + 1,
            author_id=effect.principal.id,
            updated_at=func.now(),
        )
    )


async def _delete(once: Once, *, effect: Effect, document_id: DocumentId) -> None:
    await once.connection.execute(
        update(documents)
        .where(documents.c.tenant_id == effect.tenant_id, documents.c.id == document_id)
        .values(deleted_at=effect.at, deleted_by=effect.principal.id)
    )


async def _recorded(once: Once, *, effect: Effect, document_id: DocumentId) -> Document:
    query = _of(effect.principal).where(documents.c.id == document_id)
    document = _document_of((await once.connection.execute(query)).one())
    once.record(_DOCUMENT.dump_python(document, mode="json"))
    return document


def _restorable(row: AnyRow | None, *, at: datetime) -> AnyRow:
    if row is None:
        raise NotFound("not_found", noun="deleted document")
    if at - row.deleted_at > timedelta(days=DAYS_TO_RESTORE):
        raise ToolFailed("too_late_to_undo", days=DAYS_TO_RESTORE)
    return row


def _document_of(row: AnyRow) -> Document:
    return Document(
        id=DocumentId(row.id),
        title=row.title,
        version=row.version,
        author=row.author,
        updated_at=row.updated_at,
    )
