"""What a segment is to DBOS: a name, an id, and three strings."""

import logging

from core.domain.ids import RunId, TenantId

APPLICATION = "sallyport"
# A constant: DBOS gives a workflow only to workers of its version, and would strand old ones.
VERSION = "segments-1"
SCHEMA = "dbos"
QUEUE = "segments"
WORKFLOW = "drive_segment"
POLL_SECONDS = 0.1


def workflow_id(run_id: RunId, *, segment: int) -> str:
    """Return the id under which a segment is dispatched: the same segment, the same id."""
    return f"run:{run_id}:{segment}"


def arguments(tenant_id: TenantId, *, run_id: RunId, segment: int) -> tuple[str, str, str]:
    """Return all that DBOS is told: its tables have no row-level security."""
    return str(tenant_id), str(run_id), str(segment)


def quiet() -> None:
    """Have DBOS log errors only, through our handlers and none of its own."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.ERROR)
