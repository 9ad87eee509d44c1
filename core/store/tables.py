"""The tables as SQLAlchemy sees them; the migrations make them, a test holds the two together."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    FetchedValue,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

Moment = DateTime(timezone=True)


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id; compared in the database, never here."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        """Return the type's name in DDL."""
        return "xid8"


metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("tier", Text(), nullable=False),
    Column("epoch", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
)

principals = Table(
    "principals",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("email", Text(), nullable=False),
    Column("roles", ARRAY(Text()), nullable=False),
    Column("groups", ARRAY(Text()), nullable=False, server_default=FetchedValue()),
    Column("disabled_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
)

identity_links = Table(
    "identity_links",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("surface", Text(), primary_key=True),
    Column("external_workspace", Text(), primary_key=True),
    Column("external_user", Text(), primary_key=True),
    Column("principal_id", Uuid(), nullable=False),
    Column("linked_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("email", Text()),
    Column("how", Text(), nullable=False, server_default=FetchedValue()),
    Column("unlinked_at", Moment),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), nullable=False),
    Column("token_hash", LargeBinary(), nullable=False),
    Column("audience", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("actors", ARRAY(Text()), nullable=False, server_default=FetchedValue()),
    Column("ancestors", ARRAY(Uuid()), nullable=False, server_default=FetchedValue()),
)

tool_settings = Table(
    "tool_settings",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("tool", Text(), primary_key=True),
    Column("enabled", Boolean(), nullable=False),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
)

runs = Table(
    "runs",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("requester_id", Uuid(), nullable=False),
    Column("kind", Text(), nullable=False),
    Column("agent", Text(), nullable=False),
    Column("agent_version", Integer(), nullable=False),
    Column("config", JSONB(), nullable=False),
    Column("task", Text(), nullable=False),
    Column("via", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("conversation", JSONB()),
    Column("client_key", Text()),
    Column("status", Text(), nullable=False),
    Column("dispatch", Text(), nullable=False),
    Column("segment", Integer(), nullable=False, server_default=FetchedValue()),
    Column("lease", Integer(), nullable=False, server_default=FetchedValue()),
    Column("driver", Text()),
    Column("queued_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("budget_micros", BigInteger(), nullable=False),
    Column("cost_micros", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("max_steps", Integer(), nullable=False),
    Column("current_step", Integer(), nullable=False, server_default=FetchedValue()),
    Column("active_ms", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("event_seq", Integer(), nullable=False, server_default=FetchedValue()),
    Column("pause_reason", Text()),
    Column("cancel_requested", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("result", Text()),
    Column("error_code", Text()),
    Column("error_message", Text()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    Column("actor", Text(), nullable=False, server_default=FetchedValue()),
    Column("context", JSONB()),
)

steps = Table(
    "steps",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), primary_key=True),
    Column("number", Integer(), primary_key=True),
    Column("thinking", Text(), nullable=False),
    Column("text", Text(), nullable=False),
    Column("calls", JSONB(), nullable=False),
    Column("stop", Text(), nullable=False),
    Column("provider", Text(), nullable=False),
    Column("model", Text(), nullable=False),
    Column("input_tokens", Integer(), nullable=False),
    Column("output_tokens", Integer(), nullable=False),
    Column("cache_read_tokens", Integer(), nullable=False),
    Column("cache_write_tokens", Integer(), nullable=False),
    Column("cost_micros", BigInteger(), nullable=False),
    Column("duration_ms", Integer(), nullable=False),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("run_id", Uuid()),
    Column("step", Integer(), nullable=False, server_default=FetchedValue()),
    Column("position", Integer(), nullable=False, server_default=FetchedValue()),
    Column("handle", Text(), nullable=False, server_default=FetchedValue()),
    Column("requester_id", Uuid(), nullable=False),
    Column("via", Text(), nullable=False, server_default=FetchedValue()),
    Column("agent", Text(), nullable=False, server_default=FetchedValue()),
    Column("tool", Text(), nullable=False),
    Column("tool_version", Integer()),
    Column("arguments", JSONB(), nullable=False),
    Column("request_digest", Text()),
    Column("state", Text(), nullable=False),
    Column("asked", Integer(), nullable=False, server_default=FetchedValue()),
    Column("verdict", JSONB()),
    Column("preview", JSONB()),
    Column("digest", Text()),
    Column("result", JSONB()),
    Column("error", JSONB()),
    Column("inverse", JSONB()),
    Column("undoes", Uuid()),
    Column("attempts", Integer(), nullable=False, server_default=FetchedValue()),
    Column("cost_micros", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("duration_ms", Integer(), nullable=False, server_default=FetchedValue()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("started_at", Moment),
    Column("settled_at", Moment),
    Column("open_digest", Text(), server_default=FetchedValue()),
    Column("open_undo", Uuid(), server_default=FetchedValue()),
    Column("original_arguments", JSONB()),
    Column("edited_by", Text()),
)

usage_events = Table(
    "usage_events",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", BigInteger(), primary_key=True, server_default=FetchedValue()),
    Column("run_id", Uuid()),
    Column("step", Integer()),
    Column("call_id", Uuid()),
    Column("kind", Text(), nullable=False),
    Column("agent", Text(), nullable=False),
    Column("name", Text(), nullable=False),
    Column("provider", Text()),
    Column("input_tokens", Integer(), nullable=False, server_default=FetchedValue()),
    Column("output_tokens", Integer(), nullable=False, server_default=FetchedValue()),
    Column("cache_read_tokens", Integer(), nullable=False, server_default=FetchedValue()),
    Column("cache_write_tokens", Integer(), nullable=False, server_default=FetchedValue()),
    Column("unit_prices", JSONB(), nullable=False),
    Column("cost_micros", BigInteger(), nullable=False),
    Column("at", Moment, nullable=False, server_default=FetchedValue()),
)

approvals = Table(
    "approvals",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), nullable=False),
    Column("call_id", Uuid(), nullable=False),
    Column("question", Text(), nullable=False),
    Column("tool", Text(), nullable=False),
    Column("tool_version", Integer(), nullable=False),
    Column("risk", Text(), nullable=False),
    Column("arguments", JSONB(), nullable=False),
    Column("preview", JSONB(), nullable=False),
    Column("digest", Text(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("requester_id", Uuid(), nullable=False),
    Column("approvers", JSONB(), nullable=False),
    Column("needed", Integer(), nullable=False),
    Column("state", Text(), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("closed_at", Moment),
    Column("original_arguments", JSONB()),
    Column("edited_by", Text()),
    Column("remind_at", Moment),
    Column("reminded", Integer(), nullable=False, server_default=FetchedValue()),
    Column("escalated_at", Moment),
    Column("escalated_to", Text()),
)

decisions = Table(
    "decisions",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("approval_id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), primary_key=True),
    Column("answer", Text(), nullable=False),
    Column("scope", Text(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("digest", Text(), primary_key=True),
    Column("via", Text(), nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("in_place_of", Uuid()),
)

grants = Table(
    "grants",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("requester_id", Uuid()),
    Column("run_id", Uuid()),
    Column("tool", Text(), nullable=False),
    Column("tool_version", Integer(), nullable=False),
    Column("pattern", JSONB(), nullable=False),
    Column("granted_by", Uuid(), nullable=False),
    Column("approval_id", Uuid(), nullable=False),
    Column("approvers", JSONB(), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("uses_left", Integer()),
    Column("revoked_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
)

run_events = Table(
    "run_events",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), primary_key=True),
    Column("seq", Integer(), primary_key=True),
    Column("kind", Text(), nullable=False),
    Column("data", JSONB(), nullable=False),
    Column("at", Moment, nullable=False, server_default=FetchedValue()),
)

run_text = Table(
    "run_text",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), primary_key=True),
    Column("step", Integer(), primary_key=True),
    Column("seq", Integer(), primary_key=True),
    Column("text", Text(), nullable=False),
    Column("at", Moment, nullable=False, server_default=FetchedValue()),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("seq", BigInteger(), nullable=False, server_default=FetchedValue()),
    Column("at", Moment, nullable=False),
    Column("action", Text(), nullable=False),
    Column("actor", Text(), nullable=False),
    Column("run_id", Uuid()),
    Column("call_id", Uuid()),
    Column("tool", Text()),
    Column("content", Text(), nullable=False),
    Column("digest", Text(), nullable=False),
    Column("xact", Xid8(), nullable=False, server_default=FetchedValue()),
)

audit_blocks = Table(
    "audit_blocks",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("number", BigInteger(), primary_key=True),
    Column("record_ids", ARRAY(Uuid()), nullable=False),
    Column("upto_xact", Xid8(), nullable=False),
    Column("previous", Text(), nullable=False),
    Column("head", Text(), nullable=False),
    Column("key_id", Text(), nullable=False),
    Column("signature", Text(), nullable=False),
    Column("sealed_at", Moment, nullable=False),
)

tool_effects = Table(
    "tool_effects",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("key", Text(), primary_key=True),
    Column("tool", Text(), nullable=False),
    Column("output", JSONB(), nullable=False),
    Column("at", Moment, nullable=False, server_default=FetchedValue()),
)

projects = Table(
    "projects",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("open_to_all", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
)

project_members = Table(
    "project_members",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("project_id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), primary_key=True),
)

tasks = Table(
    "tasks",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("project_id", Uuid(), nullable=False),
    Column("title", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("priority", Text(), nullable=False),
    Column("assignee_id", Uuid()),
    Column("due_date", Date()),
    Column("created_by", Uuid(), nullable=False),
    Column("touched_by_others", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("deleted_at", Moment),
    Column("deleted_by", Uuid()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("updated_at", Moment, nullable=False, server_default=FetchedValue()),
)

messages = Table(
    "messages",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("sender_id", Uuid(), nullable=False),
    Column("recipient_id", Uuid(), nullable=False),
    Column("text", Text(), nullable=False),
    Column("sent_at", Moment, nullable=False, server_default=FetchedValue()),
)

documents = Table(
    "documents",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("title", Text(), nullable=False),
    Column("content", Text(), nullable=False),
    Column("version", Integer(), nullable=False, server_default=FetchedValue()),
    Column("author_id", Uuid(), nullable=False),
    Column("deleted_at", Moment),
    Column("deleted_by", Uuid()),
    Column("created_at", Moment, nullable=False, server_default=FetchedValue()),
    Column("updated_at", Moment, nullable=False, server_default=FetchedValue()),
)

document_versions = Table(
    "document_versions",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("document_id", Uuid(), primary_key=True),
    Column("version", Integer(), primary_key=True),
    Column("title", Text(), nullable=False),
    Column("content", Text(), nullable=False),
    Column("author_id", Uuid(), nullable=False),
    Column("written_at", Moment, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("executor_id", Text(), primary_key=True),
    Column("beat_at", Moment, nullable=False),
    Column("started_at", Moment, nullable=False, server_default=FetchedValue()),
)
