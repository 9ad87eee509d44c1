"""The tables of the chat surfaces as SQLAlchemy sees them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    FetchedValue,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.store.tables import Moment, metadata

chat_workspaces = Table(
    "chat_workspaces",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("surface", Text(), primary_key=True),
    Column("workspace", Text(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("app", Text(), nullable=False),
    Column("bot_user", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("sealed", LargeBinary()),
    Column("token_expires_at", Moment),
    Column("renewed_until", Moment),
    Column("state", Text(), nullable=False),
    Column("approvals_channel", Text()),
    Column("installed_by", Uuid(), nullable=False),
    Column("links_by_email", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("installed_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("deliverer", Text()),
    Column("delivers_until", Moment),
)

chat_install_states = Table(
    "chat_install_states",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("state_hash", LargeBinary(), primary_key=True),
    Column("browser_hash", LargeBinary(), nullable=False),
    Column("surface", Text(), nullable=False),
    Column("principal_id", Uuid(), nullable=False),
    Column("expires_at", Moment, nullable=False),
)

chat_link_offers = Table(
    "chat_link_offers",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("offer_hash", LargeBinary(), primary_key=True),
    Column("surface", Text(), nullable=False),
    Column("workspace", Text(), nullable=False),
    Column("external_user", Text(), nullable=False),
    Column("shown_name", Text(), nullable=False),
    Column("email", Text()),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

inbox = Table(
    "inbox",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("surface", Text(), nullable=False),
    Column("workspace", Text(), nullable=False),
    Column("conversation", Text(), nullable=False),
    Column("position", Text(), nullable=False),
    Column("external_id", Text(), nullable=False),
    Column("urgent", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("payload", JSONB(), nullable=False),
    Column("received_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("handled_at", Moment),
    Column("attempts", Integer(), nullable=False, server_default=FetchedValue()),
    Column("due_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("claimed_until", Moment),
    Column("error", Text()),
)

outbox = Table(
    "outbox",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("surface", Text(), nullable=False),
    Column("workspace", Text(), nullable=False),
    Column("address", Text(), nullable=False),
    Column("key", Text(), nullable=False),
    Column("version", Integer(), nullable=False, server_default=FetchedValue()),
    Column("kind", Text(), nullable=False),
    Column("payload", JSONB(), nullable=False),
    Column("state", Text(), nullable=False, server_default=FetchedValue()),
    Column("attempts", Integer(), nullable=False, server_default=FetchedValue()),
    Column("due_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("error", Text()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("delivered_at", Moment),
)

chat_messages = Table(
    "chat_messages",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("surface", Text(), primary_key=True),
    Column("workspace", Text(), primary_key=True),
    Column("key", Text(), primary_key=True),
    Column("sent", JSONB(), nullable=False),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
)

chat_runs = Table(
    "chat_runs",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), primary_key=True),
    Column("surface", Text(), nullable=False),
    Column("workspace", Text(), nullable=False),
    Column("address", Text(), nullable=False),
    Column("asker", Text(), nullable=False),
    Column("told_seq", Integer(), nullable=False, server_default=FetchedValue()),
    Column("told_text", Integer(), nullable=False, server_default=FetchedValue()),
    Column("ended", Boolean(), nullable=False, server_default=FetchedValue()),
)

chat_questions = Table(
    "chat_questions",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("approval_id", Uuid(), primary_key=True),
    Column("surface", Text(), primary_key=True),
    Column("workspace", Text(), primary_key=True),
    Column("address", Text(), primary_key=True),
    Column("decides", Boolean(), nullable=False),
)

chat_news = Table(
    "chat_news",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("approval_id", Uuid(), primary_key=True),
    Column("version", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("since", Moment, nullable=False, server_default=FetchedValue()),
)

chat_references = Table(
    "chat_references",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("surface", Text(), primary_key=True),
    Column("workspace", Text(), primary_key=True),
    Column("address", Text(), primary_key=True),
    Column("conversation", Text(), nullable=False),
    Column("service_url", Text(), nullable=False),
    Column("mri", Text(), nullable=False),
    Column("seen_at", Moment, nullable=False),
)
