"""What waits for people: list it, decide it."""

from uuid import UUID

import click

from api.paging import cursor_of, place_of
from api.views import approval_view
from core.domain.approval import Answer as Said
from core.domain.approval import Approval, ApprovalState, GrantScope
from core.domain.ids import ApprovalId
from core.domain.run import RunStatus
from sallyport.commands.answer import Answer, answering, as_json_given, console, table
from sallyport.commands.session import (
    acting_as,
    as_option,
    cursor_option,
    limit_option,
    parts_of_process,
    tenant_named,
    tenant_option,
)
from sallyport.driving import driven, rest
from sallyport.terminal import preview_of

COMMAND = click.Group("approvals", help="See what waits for people, and decide it.")


@COMMAND.command("list")
@tenant_option
@click.option("--state", type=click.Choice(ApprovalState, case_sensitive=False))
@limit_option
@cursor_option
@answering
async def listed(
    tenant: str, state: ApprovalState | None, limit: int, cursor: str | None
) -> Answer:
    """List what people were asked in a tenant, newest first."""
    place = place_of(cursor)
    async with parts_of_process() as parts:
        found = await parts.approvals.page(
            await tenant_named(parts, tenant),
            state=state,
            before=(place[0], ApprovalId(place[1])) if place else None,
            limit=limit,
        )
    more = cursor_of(found[-1].created_at, last=found[-1].id) if len(found) == limit else None
    return Answer(
        document={
            "items": [approval_view(one).model_dump(mode="json") for one in found],
            "next_cursor": more,
        },
        shown=table(
            "id",
            "state",
            "for",
            "needs",
            "until",
            "what",
            rows=[
                (
                    one.id,
                    one.state.value,
                    one.requester.email,
                    one.approvers.in_words(),
                    f"{one.expires_at:%Y-%m-%d %H:%M}",
                    one.preview.get("summary", one.tool),
                )
                for one in found
            ],
            none="Nobody is being asked anything." if state else "Nobody was asked anything yet.",
        ),
    )


@COMMAND.command("decide")
@click.argument("approval_id", metavar="ID", type=click.UUID)
@click.argument("answer", metavar="approve|deny", type=click.Choice(Said, case_sensitive=False))
@tenant_option
@as_option
@click.option("--digest", metavar="D", help="Of what was looked at; that which is shown if unset.")
@click.option(
    "--scope",
    type=click.Choice(GrantScope, case_sensitive=False),
    default=GrantScope.ONCE,
    show_default="once",
    help="How far an approval reaches.",
)
@click.option("--reason", default="", metavar="R", help="Why, for the requester.")
@answering
async def decide(
    approval_id: UUID,
    answer: Said,
    tenant: str,
    email: str,
    digest: str | None,
    scope: GrantScope,
    reason: str,
) -> Answer:
    """Decide an approval on behalf of a person: approve or deny.

    Of a call whose outcome is not known: happened, did_not or retry. Where no worker is running,
    the run goes on here until it has ended or waits again.
    """
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        wanted = ApprovalId(approval_id)
        async with parts.serving() as app:
            seen = await app.approval(caller, approval_id=wanted)
            if not as_json_given():
                console().print(preview_of(seen.preview))
            decided = await app.decide(
                caller,
                approval_id=wanted,
                answer=answer,
                digest=digest or seen.digest,
                scope=scope,
                reason=reason,
            )
        status = None
        if decided.state is not ApprovalState.PENDING:
            async with driven(parts) as wheel:
                if wheel.here:
                    run = await rest(parts, caller.tenant_id, run_id=decided.run_id)
                    status = run.status
    return Answer(
        document=approval_view(decided).model_dump(mode="json"),
        shown=_what_now(decided, status=status),
    )


def _what_now(decided: Approval, *, status: RunStatus | None) -> str:
    if decided.state is ApprovalState.PENDING:
        missing = decided.approvers.needed - len(decided.decisions)
        return f"Noted. It needs {missing} more."
    goes_on = f" Its run: {status.value.replace('_', ' ')}." if status else " Its run goes on."
    return f"It is {decided.state.value}.{goes_on}"
