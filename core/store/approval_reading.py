"""Reading questions whole: their rows, their answers and the people."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.approval import Approval, ApprovalState
from core.domain.ids import ApprovalId, TenantId
from core.errors import NotFound
from core.store.approval_rows import approval_of, decision_of
from core.store.reading import people_of
from core.store.rows import AnyRow
from core.store.tables import approvals, decisions

_QUESTION = select(approvals).where(
    approvals.c.tenant_id == bindparam("tenant"), approvals.c.id == bindparam("question")
)

_ANSWERS = (
    select(decisions)
    .where(
        decisions.c.tenant_id == bindparam("tenant"),
        decisions.c.approval_id == any_(bindparam("questions", type_=ARRAY(Uuid()))),
    )
    .order_by(decisions.c.decided_at, decisions.c.principal_id)
)


async def withdraw_open(
    connection: AsyncConnection, which: ColumnElement[bool], *, tenant_id: TenantId
) -> Sequence[AnyRow]:
    """Withdraw the open ones of these questions, and return their rows."""
    withdrawn = await connection.execute(
        update(approvals)
        .where(approvals.c.tenant_id == tenant_id, approvals.c.state == "pending", which)
        .values(state=ApprovalState.WITHDRAWN.value, closed_at=func.now())
        .returning(approvals)
    )
    return withdrawn.all()


async def question_of(
    connection: AsyncConnection, tenant_id: TenantId, *, approval_id: ApprovalId
) -> Approval:
    """Return one question with its answers.

    Raises:
        NotFound: ``not_found``.
    """
    which = {"tenant": tenant_id, "question": approval_id}
    rows = (await connection.execute(_QUESTION, which)).all()
    if not rows:
        raise NotFound("not_found", noun="approval")
    return (await questions_of(connection, tenant_id, rows))[0]


async def answers_of(
    connection: AsyncConnection, tenant_id: TenantId, *, ids: Sequence[UUID]
) -> Sequence[AnyRow]:
    """Read what people have said to these questions, in the order in which they said it."""
    said = await connection.execute(_ANSWERS, {"tenant": tenant_id, "questions": ids})
    return said.all()


async def questions_of(
    connection: AsyncConnection, tenant_id: TenantId, rows: Sequence[AnyRow]
) -> tuple[Approval, ...]:
    """Read the answers and people of these questions."""
    if not rows:
        return ()
    said = await answers_of(connection, tenant_id, ids=[row.id for row in rows])
    ids: list[UUID] = [
        *(row.requester_id for row in rows),
        *(row.principal_id for row in said),
        *(row.in_place_of for row in said if row.in_place_of),
    ]
    people = await people_of(connection, tenant_id, ids=ids)
    return tuple(
        approval_of(
            row,
            requester=people[row.requester_id],
            answers=tuple(
                decision_of(
                    one,
                    principal=people[one.principal_id],
                    in_place_of=people[one.in_place_of] if one.in_place_of else None,
                )
                for one in said
                if one.approval_id == row.id
            ),
        )
        for row in rows
    )
