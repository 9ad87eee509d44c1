"""Approvals over REST: what waits for whom, and deciding it."""

from starlette.responses import Response

from api.approval_models import (
    ApprovalsPage,
    ApprovalsQuery,
    ApprovalView,
    Decide,
    EditArguments,
    EditView,
)
from api.models import Nothing
from api.operations import Asked, Operation, get, post, reply
from api.paging import cursor_of, place_of
from api.views import approval_view, edit_view
from core.domain.ids import ApprovalId


async def list_approvals(asked: Asked, query: ApprovalsQuery) -> Response:
    """Return a page of approvals that concern the caller."""
    place = place_of(query.cursor)
    found, more = await asked.app.approvals(
        asked.caller,
        state=query.state,
        before=(place[0], ApprovalId(place[1])) if place else None,
        limit=query.limit,
    )
    return reply(
        ApprovalsPage(
            items=[approval_view(one) for one in found],
            next_cursor=cursor_of(more[0], last=more[1]) if more else None,
        )
    )


async def show_approval(asked: Asked, _query: Nothing) -> Response:
    """Return one approval with its decisions."""
    found = await asked.app.approval(asked.caller, approval_id=_approval_id(asked))
    return reply(approval_view(found))


async def decide(asked: Asked, body: Decide) -> Response:
    """Keep the caller's answer and return the approval as it stands then."""
    approval_id = _approval_id(asked)
    decided = await asked.app.decide(
        asked.caller,
        approval_id=approval_id,
        answer=body.decision,
        digest=body.digest,
        scope=body.scope,
        reason=body.reason,
        arguments=body.arguments,
        edited_digest=body.edited_digest,
    )
    return reply(approval_view(decided))


async def preview_edit(asked: Asked, body: EditArguments) -> Response:
    """Return what the call would be with other arguments; nothing is changed."""
    edit = await asked.app.preview_edit(
        asked.caller, approval_id=_approval_id(asked), arguments=body.arguments
    )
    return reply(edit_view(edit))


def _approval_id(asked: Asked) -> ApprovalId:
    return ApprovalId(asked.id("approval_id", noun="approval"))


APPROVALS: tuple[Operation, ...] = (
    get(
        "/approvals",
        list_approvals,
        query=ApprovalsQuery,
        name="list_approvals",
        summary="List the approvals that concern you, newest first.",
        scope="approvals:read",
        answers={200: (ApprovalsPage,)},
    ),
    get(
        "/approvals/{approval_id}",
        show_approval,
        query=Nothing,
        name="show_approval",
        summary="Show an approval with its decisions.",
        scope="approvals:read",
        answers={200: (ApprovalView,)},
        refusals=(404,),
    ),
    post(
        "/approvals/{approval_id}/decision",
        decide,
        body=Decide,
        name="decide",
        summary="Decide an approval, of other arguments if need be.",
        scope="approvals:decide",
        answers={200: (ApprovalView,)},
        refusals=(404, 409),
    ),
    post(
        "/approvals/{approval_id}/preview",
        preview_edit,
        body=EditArguments,
        name="preview_edit",
        summary="See what a call would be with other arguments.",
        scope="approvals:decide",
        answers={200: (EditView,)},
        refusals=(404, 409),
    ),
)
