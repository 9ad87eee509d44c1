"""The tables of sign-in as SQLAlchemy sees them; the migrations make them."""

from sqlalchemy import ARRAY, Boolean, Column, FetchedValue, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from core.store.tables import Moment, metadata

sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("secret_hash", LargeBinary(), nullable=False),
    Column("principal_id", Uuid(), nullable=False),
    Column("how", Text(), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("link_hash", LargeBinary(), nullable=False),
    Column("principal_id", Uuid(), nullable=False),
    Column("return_to", Text(), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("issuer", Text(), nullable=False),
    Column("client_id", Text(), nullable=False),
    Column("credential_ref", Uuid()),
    Column("email_domains", ARRAY(Text()), nullable=False),
    Column("group_roles", JSONB(), nullable=False, server_default=FetchedValue()),
    Column("groups_claim", Text(), nullable=False, server_default=FetchedValue()),
    Column("creates_people", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("trusts_email", Boolean(), nullable=False, server_default=FetchedValue()),
    Column("direct_audience", Text()),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
)

sign_in_states = Table(
    "sign_in_states",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("state_hash", LargeBinary(), primary_key=True),
    Column("browser_hash", LargeBinary(), nullable=False),
    Column("issuer", Text(), nullable=False),
    Column("nonce", Text(), nullable=False),
    Column("verifier", Text(), nullable=False),
    Column("return_to", Text(), nullable=False),
    Column("expires_at", Moment, nullable=False),
)
