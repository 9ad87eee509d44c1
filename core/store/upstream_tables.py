"""The tables of upstream servers and their pinned tools, as SQLAlchemy sees them."""

from sqlalchemy import Boolean, Column, FetchedValue, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from core.store.tables import Moment, metadata

upstreams = Table(
    "upstreams",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("name", Text(), primary_key=True),
    Column("credential", Uuid()),
    Column("revision", Integer(), nullable=False, server_default=FetchedValue()),
    Column("connected_by", Text(), nullable=False),
    Column("connected_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("entra_scope", Text()),
)

upstream_tools = Table(
    "upstream_tools",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("name", Text(), primary_key=True),
    Column("upstream", Text(), nullable=False),
    Column("state", Text(), nullable=False),
    Column("accepted", JSONB(none_as_null=True)),
    Column("accepted_digest", Text()),
    Column("seen", JSONB(none_as_null=True)),
    Column("seen_digest", Text()),
    Column("fault", Text()),
    Column("risk", Text(), nullable=False, server_default=FetchedValue()),
    Column("approver", Text(), nullable=False, server_default=FetchedValue()),
    Column("needed", Integer(), nullable=False, server_default=FetchedValue()),
    Column("idempotent", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("timeout_seconds", Integer(), nullable=False, server_default=FetchedValue()),
    Column("version", Integer(), nullable=False, server_default=FetchedValue()),
    Column("accepted_by", Text()),
    Column("accepted_at", Moment),
)
