"""Runs: starting and cancelling them, and reading them and their calls back."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Select, and_, bindparam, or_, select, update

from core.domain.audit import AuditRecord, audit_record
from core.domain.ids import CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.run import CallRecord, Conversation, Run, RunKind, RunStatus, StopCause
from core.domain.tool import CallState, ToolCall
from core.errors import Conflict, NotFound
from core.ports import Clock, Ending
from core.store.database import Database
from core.store.ending import finish_held
from core.store.journal import append_audit, audit_json, events_json
from core.store.reading import people_of, run_row_of, whole
from core.store.rows import agent_json, call_of, context_json, run_of
from core.store.tables import runs, tool_calls

_BEGIN = "select begin_run($1, $2, $3, $4, $5)"

_CALL = select(tool_calls).where(
    tool_calls.c.tenant_id == bindparam("tenant"), tool_calls.c.id == bindparam("call")
)

_UNDOING = select(tool_calls.c.id).where(
    tool_calls.c.tenant_id == bindparam("tenant"),
    tool_calls.c.undoes == bindparam("call"),
    tool_calls.c.state == CallState.SUCCEEDED.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A run to be started: with its only call where it is one of a front door's.

    ``client_key`` is the client's own idempotency key; ``request_digest`` lets the same direct
    call join the one that is still open.
    """

    run: Run
    scopes: frozenset[str]
    events: tuple[Happened, ...]
    audit: AuditRecord
    call: ToolCall | None = None
    client_key: str | None = None
    request_digest: str | None = None
    undoes: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What came of a beginning; ``joined`` where there was such a run already."""

    run_id: RunId
    segment: int
    joined: bool


class StoredRuns:
    """What front doors ask about runs."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        """Take the database."""
        self._database = database
        self._clock = clock

    async def begin(self, beginning: Beginning) -> Started:
        """Start a run, queued, in one transaction; or return the one it joins.

        Raises:
            Conflict: ``undone_already``, or ``key_reused``: the client's key was another request's.
        """
        try:
            answer = await self._database.hot(
                _BEGIN,
                beginning.run.tenant_id,
                json.dumps(_run_row(beginning)),
                json.dumps(_call_row(beginning, beginning.call)) if beginning.call else None,
                events_json(beginning.events),
                audit_json([beginning.audit]),
            )
        except asyncpg.UniqueViolationError as error:
            # Somebody else's identical request, or undo, was quicker by a moment.
            code = "undone_already" if beginning.undoes else "request_repeated"
            raise Conflict(code) from error
        begun: dict[str, Any] = json.loads(str(answer))  # Any: as begin_run builds it
        if not begun["same"]:
            raise Conflict("key_reused")
        return Started(
            run_id=RunId(UUID(begun["run_id"])), segment=begun["segment"], joined=begun["joined"]
        )

    async def call_of_key(
        self, tenant_id: TenantId, *, requester_id: PrincipalId, client_key: str
    ) -> CallRecord | None:
        """Return the call that this person made under their own idempotency key, if any."""
        query = (
            select(tool_calls.c.id)
            .join(
                runs,
                and_(runs.c.tenant_id == tool_calls.c.tenant_id, runs.c.id == tool_calls.c.run_id),
            )
            .where(
                runs.c.tenant_id == tenant_id,
                runs.c.requester_id == requester_id,
                runs.c.client_key == client_key,
                runs.c.kind == RunKind.CALL.value,
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            call_id = (await connection.execute(query)).scalar_one_or_none()
        return await self.call(tenant_id, call_id=CallId(call_id)) if call_id else None

    async def open_call(self, call: ToolCall) -> CallId | None:
        """Return the open direct call of the same person that ``call`` would be, if there is one.

        ``call`` has the arguments as the tool takes them.
        """
        query = (
            select(tool_calls.c.id)
            .where(
                tool_calls.c.tenant_id == call.tenant_id,
                tool_calls.c.requester_id == call.requester.id,
                tool_calls.c.open_digest.is_not(None),
                tool_calls.c.undoes.is_(None),
                tool_calls.c.tool == call.tool,
                tool_calls.c.arguments == call.arguments,
            )
            .limit(1)
        )
        async with self._database.for_tenant(call.tenant_id) as connection:
            found = await connection.scalar(query)
        return CallId(found) if found else None

    async def cancel(
        self, tenant_id: TenantId, *, run_id: RunId, actor: str, cause: StopCause
    ) -> None:
        """Cancel for good: at once where nobody drives the run, else at its driver's next look.

        Raises:
            NotFound: ``not_found``.
            Conflict: ``run_ended``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            row = await run_row_of(connection, tenant_id, run_id=run_id, lock=True)
            if row.dispatch == "ended":
                raise Conflict("run_ended", status=row.status)
            await append_audit(
                connection,
                audit_record(
                    tenant_id,
                    at=self._clock.now(),
                    action="run.cancel_requested",
                    actor=actor,
                    run_id=run_id,
                    content={},
                ),
            )
            if row.dispatch == "driving":
                await connection.execute(
                    update(runs)
                    .where(runs.c.tenant_id == tenant_id, runs.c.id == run_id)
                    .values(cancel_requested=True)
                )
                return
            ending = Ending(status=RunStatus.CANCELLED, cost_micros=row.cost_micros, error=cause)
            await finish_held(connection, row, ending=ending, actor=actor, at=self._clock.now())

    async def get(self, tenant_id: TenantId, *, run_id: RunId) -> Run:
        """Return the run with its steps.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            row = await run_row_of(connection, tenant_id, run_id=run_id)
            return await whole(connection, row)

    async def call(self, tenant_id: TenantId, *, call_id: CallId) -> CallRecord:
        """Return a call, of a run or not.

        Raises:
            NotFound: ``not_found``.
        """
        which = {"tenant": tenant_id, "call": call_id}
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(_CALL, which)).one_or_none()
            if row is None:
                raise NotFound("not_found", noun="call")
            people = await people_of(connection, tenant_id, ids=[row.requester_id])
            undoing = await connection.scalar(_UNDOING, which)
        record = call_of(row, requester=people[row.requester_id])
        return replace(record, undone_by=CallId(undoing) if undoing else None)

    async def call_with_scopes(
        self, tenant_id: TenantId, *, call_id: CallId
    ) -> tuple[CallRecord, frozenset[str]]:
        """Return a run's call, and what the run may do.

        Raises:
            NotFound: ``not_found``.
        """
        query = (
            select(tool_calls, runs.c.scopes, runs.c.actor)
            .join(
                runs,
                and_(runs.c.tenant_id == tool_calls.c.tenant_id, runs.c.id == tool_calls.c.run_id),
            )
            .where(tool_calls.c.tenant_id == tenant_id, tool_calls.c.id == call_id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise NotFound("not_found", noun="call")
            people = await people_of(connection, tenant_id, ids=[row.requester_id])
        record = call_of(row, requester=people[row.requester_id], actor=row.actor)
        return record, frozenset(row.scopes)

    async def of_conversation(
        self,
        tenant_id: TenantId,
        *,
        conversation: Conversation,
        requester_id: PrincipalId | None,
        limit: int,
    ) -> tuple[Run, ...]:
        """Return runs that were asked there, without their steps, newest first."""
        query = (
            select(runs)
            .where(
                runs.c.tenant_id == tenant_id,
                runs.c.conversation.is_not(None),
                runs.c.conversation["surface"].astext == conversation.surface,
                runs.c.conversation["address"].astext == conversation.address,
            )
            .order_by(runs.c.created_at.desc(), runs.c.id)
            .limit(limit)
        )
        if requester_id is not None:
            query = query.where(runs.c.requester_id == requester_id)
        return await self._without_steps(tenant_id, query)

    async def page(
        self,
        tenant_id: TenantId,
        *,
        requester_id: PrincipalId | None,
        before: tuple[datetime, RunId] | None,
        limit: int,
    ) -> tuple[Run, ...]:
        """Return runs without their steps, newest first; of one requester where one is named."""
        query = (
            select(runs)
            .where(runs.c.tenant_id == tenant_id)
            .order_by(runs.c.created_at.desc(), runs.c.id)
            .limit(limit)
        )
        if requester_id is not None:
            query = query.where(runs.c.requester_id == requester_id)
        if before is not None:
            at, after = before
            older = runs.c.created_at < at
            query = query.where(or_(older, and_(runs.c.created_at == at, runs.c.id > after)))
        return await self._without_steps(tenant_id, query)

    async def _without_steps(
        self, tenant_id: TenantId, query: Select[tuple[object, ...]]
    ) -> tuple[Run, ...]:
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
            people = await people_of(connection, tenant_id, ids=[row.requester_id for row in rows])
        return tuple(run_of(row, requester=people[row.requester_id]) for row in rows)


def _run_row(beginning: Beginning) -> dict[str, object]:
    run = beginning.run
    talk = run.conversation
    return {
        "id": str(run.id),
        "requester_id": str(run.requester.id),
        "kind": run.kind.value,
        "agent": run.agent.agent,
        "agent_version": run.agent.version,
        "config": agent_json(run.agent),
        "task": run.task,
        "via": run.via,
        "actor": run.actor,
        "scopes": sorted(beginning.scopes),
        "conversation": {"surface": talk.surface, "address": talk.address} if talk else None,
        "context": context_json(run.context),
        "client_key": beginning.client_key,
        "budget_micros": run.agent.budget_micros,
        "max_steps": run.agent.max_steps,
    }


def _call_row(beginning: Beginning, call: ToolCall) -> dict[str, object]:
    return {
        "id": str(call.id),
        "requester_id": str(call.requester.id),
        "via": call.via,
        "tool": call.tool,
        "arguments": call.arguments,
        "request_digest": beginning.request_digest,
        "undoes": str(beginning.undoes) if beginning.undoes else None,
    }
