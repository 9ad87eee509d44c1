"""The authorization server's tables as SQLAlchemy sees them."""

from sqlalchemy import ARRAY, Boolean, Column, LargeBinary, Table, Text, Uuid

from core.store.tables import Moment, metadata

oauth_clients = Table(
    "oauth_clients",
    metadata,
    Column("id", Text(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("redirect_uris", ARRAY(Text()), nullable=False),
    Column("auth_method", Text(), nullable=False),
    Column("secret_hash", LargeBinary()),
    Column("created_at", Moment, nullable=False),
    Column("used_at", Moment),
)

oauth_requests = Table(
    "oauth_requests",
    metadata,
    Column("handle_hash", LargeBinary(), primary_key=True),
    Column("client_id", Text(), nullable=False),
    Column("client_name", Text(), nullable=False),
    Column("redirect_uri", Text(), nullable=False),
    Column("state", Text()),
    Column("challenge", Text(), nullable=False),
    Column("resource", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("asks_anew", Boolean(), nullable=False),
    Column("session_hash", LargeBinary()),
    Column("expires_at", Moment, nullable=False),
)

oauth_consents = Table(
    "oauth_consents",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), primary_key=True),
    Column("client_id", Text(), primary_key=True),
    Column("redirect_host", Text(), primary_key=True),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("given_at", Moment, nullable=False),
)

oauth_codes = Table(
    "oauth_codes",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("code_hash", LargeBinary(), primary_key=True),
    Column("principal_id", Uuid(), nullable=False),
    Column("client_id", Text(), nullable=False),
    Column("redirect_uri", Text(), nullable=False),
    Column("challenge", Text(), nullable=False),
    Column("resource", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("family_id", Uuid(), nullable=False),
    Column("how", Text()),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("replayed_at", Moment),
)

oauth_families = Table(
    "oauth_families",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), nullable=False),
    Column("client_id", Text(), nullable=False),
    Column("resource", Text(), nullable=False),
    Column("scopes", ARRAY(Text()), nullable=False),
    Column("how", Text()),
    Column("created_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

oauth_refresh_tokens = Table(
    "oauth_refresh_tokens",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("token_hash", LargeBinary(), primary_key=True),
    Column("family_id", Uuid(), nullable=False),
    Column("access_token_id", Uuid(), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)
