"""The table of keys that sign tokens: no tenant's, like the name that they sign for."""

from sqlalchemy import Column, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from core.store.tables import Moment, metadata

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text(), primary_key=True),
    Column("sealed", LargeBinary(), nullable=False),
    Column("jwk", JSONB(), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("signs_until", Moment, nullable=False),
    Column("verifies_until", Moment, nullable=False),
)
