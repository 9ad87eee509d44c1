"""The vault's table as SQLAlchemy sees it."""

from sqlalchemy import Column, FetchedValue, LargeBinary, Table, Text, Uuid

from core.store.tables import Moment, metadata

credentials = Table(
    "credentials",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("owner_id", Uuid()),
    Column("sealed", LargeBinary(), nullable=False),
    Column("key_id", Text(), nullable=False),
    Column("expires_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
)
