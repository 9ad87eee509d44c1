"""The tables beside approvals and runs as SQLAlchemy sees them: settings, absences, feedback."""

from sqlalchemy import ARRAY, Boolean, Column, FetchedValue, Integer, Table, Text, Uuid

from core.store.tables import Moment, metadata

approval_settings = Table(
    "approval_settings",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("remind_minutes", ARRAY(Integer()), nullable=False),
    Column("escalate_minutes", Integer()),
    Column("escalate_to", Text()),
    Column("changed_at", Moment, nullable=False, server_default=FetchedValue()),
)

absences = Table(
    "absences",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), primary_key=True),
    Column("deputy_id", Uuid(), nullable=False),
    Column("until", Moment, nullable=False),
    Column("since", Moment, nullable=False),
)

run_feedback = Table(
    "run_feedback",
    metadata,
    Column("tenant_id", Uuid(), primary_key=True),
    Column("run_id", Uuid(), primary_key=True),
    Column("principal_id", Uuid(), primary_key=True),
    Column("good", Boolean(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("given_at", Moment, nullable=False),
)
