"""Rows of upstream tools as nouns, for the repository and for whoever reads a standing."""

from collections.abc import Iterable

from sqlalchemy import Row

from core.domain.ids import CredentialRef, TenantId
from core.domain.principal import Role
from core.domain.tool import Risk, Tool
from core.domain.upstream import Connection, Definition, PinnedTool, PinState, Terms, tool_of

_AnyRow = Row[tuple[object, ...]]


def connection_of(row: _AnyRow) -> Connection:
    """Return the connection that a row of ``upstreams`` tells of."""
    return Connection(
        tenant_id=TenantId(row.tenant_id),
        upstream=row.name,
        credential=CredentialRef(row.credential) if row.credential else None,
        revision=row.revision,
        connected_by=row.connected_by,
        connected_at=row.connected_at,
        entra_scope=row.entra_scope,
    )


def pinned_of(row: _AnyRow) -> PinnedTool:
    """Return the tool that a row of ``upstream_tools`` tells of, as admins see it."""
    return PinnedTool(
        name=row.name,
        upstream=row.upstream,
        state=PinState(row.state),
        terms=_terms_of(row),
        version=row.version,
        accepted=Definition.of_json(row.accepted) if row.accepted else None,
        seen=Definition.of_json(row.seen) if row.seen else None,
        fault=row.fault,
        accepted_by=row.accepted_by,
        accepted_at=row.accepted_at,
    )


def tools_of(rows: Iterable[_AnyRow]) -> dict[str, Tool]:
    """Return the tools that may be called, by name, of rows that were accepted once."""
    return {
        row.name: tool_of(
            Definition.of_json(row.accepted),
            name=row.name,
            upstream=row.upstream,
            terms=_terms_of(row),
            version=row.version,
            digest=row.accepted_digest,
        )
        for row in rows
        if row.state == PinState.ACCEPTED.value
    }


def held_of(rows: Iterable[_AnyRow]) -> frozenset[str]:
    """Return the names of the tools that were accepted as something else than they are now."""
    held = {PinState.HELD.value, PinState.GONE.value}
    return frozenset(row.name for row in rows if row.state in held)


def _terms_of(row: _AnyRow) -> Terms:
    return Terms(
        risk=Risk(row.risk),
        approver=Role(row.approver),
        needed=row.needed,
        idempotent=row.idempotent,
        timeout_seconds=row.timeout_seconds,
    )
