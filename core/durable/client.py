"""Dispatching from a process that drives nothing, and laying DBOS's own tables."""

from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
import structlog
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions
from sqlalchemy import Engine

from core.domain.ids import RunId, TenantId
from core.durable import segment as of_segment
from core.durable.disconnect import Connections, engine_of
from core.ports import Dispatcher

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ENQUEUE_SECONDS = 3.0
_POOL_SIZE = 2


def migrate(privileged_url: str, *, application_role: str) -> None:
    """Create or upgrade DBOS's schema and let ``application_role`` use it. Idempotent.

    ``privileged_url`` is a URL of a login that may create schemas in its database.
    """
    of_segment.quiet()
    DBOS.migrate(privileged_url, schema=of_segment.SCHEMA, application_role=application_role)
    connections = Connections(privileged_url, role=application_role)
    engine = engine_of(connections, pool_size=1)
    client = _client(engine)
    try:
        # Workers set its limits. Here already, because a queue that is registered after the launch
        # of the first worker would wait a second for its thread.
        client.register_queue(
            of_segment.QUEUE,
            partition_concurrency=1,
            polling_interval_sec=of_segment.POLL_SECONDS,
            on_conflict="never_update",
        )
    finally:
        client.destroy()
        engine.dispose()


def _client(engine: Engine) -> DBOSClient:
    return DBOSClient(
        system_database_engine=engine,
        dbos_system_schema=of_segment.SCHEMA,
        serializer=DBOSPortableJSONSerializer(),
        application_name=of_segment.APPLICATION,
        lazy=True,
        # A front door answers without its queue; a sweep finds what was not enqueued.
        retry_connection_errors=False,
    )


class QueueClient(Dispatcher):
    """Puts segments on the queue that the workers share; drives none itself."""

    def __init__(self, *, url: str, role: str) -> None:
        """Take a libpq URL and the role to be. Connects when first used."""
        of_segment.quiet()
        self._connections = Connections(url, role=role)
        self._engine = engine_of(self._connections, pool_size=_POOL_SIZE)
        self._client = _client(self._engine)

    async def __aenter__(self) -> Self:
        """Be ready to enqueue."""
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._connections.close()
        self._client.destroy()
        self._engine.dispose()

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        """Put the segment on the queue; never fails, within three seconds."""
        options: EnqueueOptions = {
            "queue_name": of_segment.QUEUE,
            "workflow_name": of_segment.WORKFLOW,
            "workflow_id": of_segment.workflow_id(run_id, segment=segment),
            "queue_partition_key": str(tenant_id),
            "app_version": of_segment.VERSION,
        }
        told = of_segment.arguments(tenant_id, run_id=run_id, segment=segment)
        try:
            with anyio.fail_after(_ENQUEUE_SECONDS):
                await anyio.to_thread.run_sync(
                    lambda: self._client.enqueue(options, *told),  # pyright: ignore[reportUnknownMemberType,reportUnknownLambdaType] - *args: Any
                    abandon_on_cancel=True,
                )
        except Exception as error:  # noqa: BLE001 - the run is committed: only a sweep can help
            _log.warning(
                "segment.enqueue_failed",
                tenant_id=str(tenant_id),
                run_id=str(run_id),
                segment=segment,
                error=type(error).__name__,
            )
