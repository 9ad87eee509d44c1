"""What waits for people: list it, decide it."""

from datetime import datetime, timedelta
from uuid import UUID

import click

from api.paging import cursor_of, place_of
from api.views import approval_view
from core.domain.approval import Answer as Said
from core.domain.approval import Approval, ApprovalState, GrantScope
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId
from core.domain.reminding import Reminding
from core.domain.run import RunStatus
from sallyport.commands.answer import Answer, answering, as_json_given, console, table
from sallyport.commands.arguments import JsonArguments, Moment
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
from sallyport.founding import note
from sallyport.terminal import preview_of

_MOST_MINUTES = 60 * 24 * 30
_MOST_REMINDERS = 10

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
@click.option(
    "--args",
    "arguments",
    metavar="JSON",
    type=JsonArguments(),
    help="Approve the call with these arguments instead, all of them.",
)
@answering
async def decide(
    approval_id: UUID,
    answer: Said,
    tenant: str,
    email: str,
    digest: str | None,
    scope: GrantScope,
    reason: str,
    arguments: JsonObject | None,
) -> Answer:
    """Decide an approval on behalf of a person: approve or deny.

    With --args the call is changed, judged anew and approved as it is then. Of a call whose outcome
    is not known: happened, did_not or retry. Where no worker is running, the run goes on here until
    it has ended or waits again.
    """
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        wanted = ApprovalId(approval_id)
        async with parts.serving() as app:
            seen = await app.approval(caller, approval_id=wanted)
            preview, edited_digest = seen.preview, None
            if arguments is not None:
                edit = await app.preview_edit(caller, approval_id=wanted, arguments=arguments)
                preview, edited_digest = edit.preview, edit.digest
            if not as_json_given():
                console().print(preview_of(preview))
            decided = await app.decide(
                caller,
                approval_id=wanted,
                answer=answer,
                digest=digest or seen.digest,
                scope=scope,
                reason=reason,
                arguments=arguments,
                edited_digest=edited_digest,
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


@COMMAND.command("away")
@tenant_option
@as_option
@click.option("--until", required=True, type=Moment(), metavar="D", help="Back from then on.")
@click.option("--to", "deputy", required=True, metavar="E", help="Who decides meanwhile.")
@answering
async def away(tenant: str, email: str, until: datetime, deputy: str) -> Answer:
    """Have somebody decide in the place of a person who is away, where that person could."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        absence = await parts.deciding.absences.begin(caller, deputy=deputy, until=until)
    return Answer(
        document={
            "person": absence.person.email,
            "deputy": absence.deputy.email,
            "until": absence.until.isoformat(),
        },
        shown=f"{absence.deputy.email} decides for {absence.person.email} until "
        f"{absence.until:%Y-%m-%d %H:%M} UTC.",
    )


@COMMAND.command("back")
@tenant_option
@as_option
@answering
async def back(tenant: str, email: str) -> Answer:
    """Have a person who was away decide for themselves again. Twice is once."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        was_away = await parts.deciding.absences.end(caller)
    told = "is back" if was_away else "was not away"
    return Answer(
        document={"person": caller.principal.email, "was_away": was_away},
        shown=f"{caller.principal.email} {told}.",
    )


@COMMAND.command("reminders")
@tenant_option
@click.option(
    "--after",
    "minutes",
    multiple=True,
    type=click.IntRange(1, _MOST_MINUTES),
    metavar="MINUTES",
    help="Remind so long after asking; up to ten times.",
)
@click.option(
    "--escalate-after",
    type=click.IntRange(1, _MOST_MINUTES),
    metavar="MINUTES",
    help="Tell others as well after so long; nobody if unset.",
)
@click.option("--escalate-to", default="", metavar="G", help="Which group; the admins if unset.")
@click.option("--default", "is_default", is_flag=True, help="As for everybody: an hour, a day.")
@answering
async def reminders(
    tenant: str,
    minutes: tuple[int, ...],
    escalate_after: int | None,
    escalate_to: str,
    is_default: bool,  # noqa: FBT001 - as click hands it over
) -> Answer:
    """Show, or set, when people are reminded of what waits for them, and who is told then."""
    if len(minutes) > _MOST_REMINDERS:
        raise click.UsageError(f"--after is given {_MOST_REMINDERS} times at most")
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        stored = parts.deciding.reminding
        if is_default:
            await stored.forget(tenant_id)
        elif minutes or escalate_after or escalate_to:
            plan = Reminding(
                after=tuple(timedelta(minutes=each) for each in sorted(set(minutes))),
                escalate_after=timedelta(minutes=escalate_after) if escalate_after else None,
                escalate_to=escalate_to,
            )
            await stored.keep(tenant_id, plan=plan)
        now = await stored.of(tenant_id)
        if is_default or minutes or escalate_after or escalate_to:
            await note(parts, tenant_id, action="reminders.set", content=_plan_told(now))
    return Answer(document=_plan_told(now), shown=_plan_shown(now))


def _plan_told(plan: Reminding) -> JsonObject:
    minute = timedelta(minutes=1)
    return {
        "remind_minutes": [each // minute for each in plan.after],
        "escalate_minutes": plan.escalate_after // minute if plan.escalate_after else None,
        "escalate_to": plan.escalate_to or "admins",
    }


def _plan_shown(plan: Reminding) -> str:
    minute = timedelta(minutes=1)
    after = ", ".join(str(each // minute) for each in plan.after)
    reminded = f"Reminded after {after} minutes" if after else "Nobody is reminded"
    if plan.escalate_after is None:
        return f"{reminded}; nobody else is told."
    to, later = plan.escalate_to or "the admins", plan.escalate_after // minute
    return f"{reminded}; after {later} minutes {to} are told as well."


def _what_now(decided: Approval, *, status: RunStatus | None) -> str:
    if decided.state is ApprovalState.PENDING:
        missing = decided.approvers.needed - len(decided.voices)
        return f"Noted. It needs {missing} more."
    goes_on = f" Its run: {status.value.replace('_', ' ')}." if status else " Its run goes on."
    return f"It is {decided.state.value}.{goes_on}"
