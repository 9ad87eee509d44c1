"""The table of what is left of tokens that are for a few calls."""

from sqlalchemy import ARRAY, BigInteger, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from core.store.tables import metadata

capabilities = Table(
    "capabilities",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("token_id", Uuid(), primary_key=True),
    Column("tools", ARRAY(Text()), nullable=False),
    Column("arguments", JSONB(none_as_null=True)),
    Column("uses_left", Integer(), nullable=False),
    Column("amount_left_micros", BigInteger(), nullable=False),
)
