"""One call of one tool, through the door."""

import json
from typing import cast

import click
from rich.console import Group, RenderableType

from api.views import call_status
from core.app import CallView
from core.domain.canonical import JsonObject
from core.domain.tool import CallState, Failed, Preview, Succeeded
from core.governance.judgement import Judgement, told
from sallyport.commands.answer import Answer, answering
from sallyport.commands.arguments import JsonArguments
from sallyport.commands.session import acting_as, as_option, parts_of_process, tenant_option
from sallyport.driving import driven
from sallyport.terminal import preview_of

_WAIT_SECONDS = 300.0
_TURNED_AWAY = frozenset({CallState.DENIED, CallState.EXPIRED, CallState.CANCELLED})


@click.command("call", help="Call one tool, through the door.")
@click.argument("tool")
@tenant_option
@as_option
@click.option(
    "--args",
    "arguments",
    type=JsonArguments(),
    default="{}",
    metavar="JSON",
    help="The tool's arguments, as a JSON object.",
)
@click.option("--dry-run", is_flag=True, help="Only say what the door would say.")
@answering
async def COMMAND(  # noqa: N802 - what the command line looks for
    tool: str, tenant: str, email: str, arguments: JsonObject, *, dry_run: bool
) -> Answer:
    """Make the call on behalf of a person, and say what came of it."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        if dry_run:
            async with parts.serving() as app:
                return _judged(await app.dry_run(caller, tool=tool, arguments=arguments))
        standing = await parts.people.standing(caller.tenant_id, principal_id=caller.principal.id)
        if not parts.judge.has_effect(tool, standing=standing):
            async with parts.serving() as app:
                view = await app.call_tool(caller, tool=tool, arguments=arguments)
        else:
            async with driven(parts) as wheel:
                view = await wheel.app.call_tool(
                    caller, tool=tool, arguments=arguments, wait_seconds=_WAIT_SECONDS
                )
    return made(view, tenant=tenant)


def made(view: CallView, *, tenant: str) -> Answer:
    """Return what there is to say about a call that was just made."""
    record = view.record
    document: JsonObject = call_status(view).model_dump(mode="json", exclude_unset=True)
    match record.result:
        case Succeeded(output=output):
            shown = json.dumps(output, indent=2, ensure_ascii=False)
        case Failed() as failed:
            shown = failed.message
        case None if view.approval_id is not None:
            summary = (record.preview or {}).get("summary", record.call.tool)
            shown = (
                f"{summary} Somebody has to agree first. Decide with:\n"
                f"  sallyport approvals decide {view.approval_id} --tenant {tenant} "
                "--as APPROVER approve"
            )
        case None:
            shown = f"The call {record.call.id} is under way."
    wrong = record.state in _TURNED_AWAY or record.state is CallState.FAILED
    return Answer(document=document, shown=shown, code=int(wrong))


def _judged(judgement: Judgement) -> Answer:
    said = told(judgement.verdict)
    preview: Preview | None = judgement.preview
    document: JsonObject = {
        "verdict": said["verdict"],
        "reasons": said["reasons"],
        "rules": said["rules"],
        "preview": preview.as_json() if preview else None,
    }
    reasons = " ".join(str(one) for one in cast("list[str]", said["reasons"]))
    verdict = str(said["verdict"]).replace("_", " ").capitalize()
    lines: list[RenderableType] = [f"{verdict}. {reasons}".strip()]
    if preview is not None:
        lines.append(preview_of(preview.as_json()))
    return Answer(document=document, shown=Group(*lines))
