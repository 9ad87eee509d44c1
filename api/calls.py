"""Tools over REST: what there is, calling it, looking at a call and taking it back."""

from starlette.responses import Response

from api.models import CallStatus, CallTool, DryRun, Nothing, ToolsPage
from api.operations import Asked, Operation, get, post, reply
from api.problems import problem
from api.views import call_status, tool_view
from core.app import CallView
from core.domain.ids import CallId
from core.domain.tool import CallState, Failed
from core.errors import NotFound
from core.governance.judgement import Judgement, told

_WAIT_SECONDS = 5.0
_LONGEST_TOOL = 200
_TURNED_AWAY = frozenset({CallState.DENIED, CallState.EXPIRED})


async def list_tools(asked: Asked, _query: Nothing) -> Response:
    """Return every tool that the caller may use; there are never more than one page."""
    found = await asked.app.tools(asked.caller)
    return reply(ToolsPage(items=[tool_view(tool) for tool in found], next_cursor=None))


async def call_tool(asked: Asked, body: CallTool) -> Response:
    """Make a call, or say what would come of it."""
    tool = _tool_of(asked)
    if body.dry_run:
        return _dry(await asked.app.dry_run(asked.caller, tool=tool, arguments=body.arguments))
    view = await asked.app.call_tool(
        asked.caller,
        tool=tool,
        arguments=body.arguments,
        client_key=asked.client_key(kind="call"),
        wait_seconds=_WAIT_SECONDS,
    )
    return _made(view)


async def show_call(asked: Asked, _query: Nothing) -> Response:
    """Return how a call stands."""
    view = await asked.app.call(asked.caller, call_id=_call_id(asked))
    return reply(call_status(view), only_set=True)


async def undo_call(asked: Asked, _body: Nothing) -> Response:
    """Take a call back; what is answered is the call that does it."""
    view = await asked.app.undo(asked.caller, call_id=_call_id(asked), wait_seconds=_WAIT_SECONDS)
    return _made(view)


def _made(view: CallView) -> Response:
    """Return a call that was just made: settled, under way, or turned away."""
    record = view.record
    match record.result:
        case Failed(code="not_found") as refused:
            # An id in the arguments is as one in the path, whichever tool looked for it.
            status = 404
        case Failed() as refused if record.state in _TURNED_AWAY:
            status = 403
        case _:
            done = record.state.is_settled
            return reply(call_status(view), status=200 if done else 202, only_set=True)
    return problem(
        refused.code,
        status=status,
        detail=refused.message,
        facts={"call_id": str(record.call.id), "state": record.state.value},
    )


def _dry(judgement: Judgement) -> Response:
    said = told(judgement.verdict)
    preview = judgement.preview
    return reply(
        DryRun.model_validate(
            {
                "verdict": said["verdict"],
                "reasons": said["reasons"],
                "rules": said["rules"],
                "preview": preview.as_json() if preview else None,
            }
        )
    )


def _tool_of(asked: Asked) -> str:
    """Return the tool's name from the path; what cannot be one is not looked for."""
    name: str = asked.request.path_params["tool"]
    if len(name) > _LONGEST_TOOL or not name.isprintable():
        raise NotFound("unknown_tool", tool="of that name")
    return name


def _call_id(asked: Asked) -> CallId:
    return CallId(asked.id("call_id", noun="call"))


CALLS: tuple[Operation, ...] = (
    get(
        "/tools",
        list_tools,
        query=Nothing,
        name="list_tools",
        summary="List the tools that you may use.",
        scope="tools:call",
        answers={200: (ToolsPage,)},
    ),
    post(
        "/tools/{tool}/calls",
        call_tool,
        body=CallTool,
        name="call_tool",
        summary="Call a tool, or ask what would come of it.",
        scope="tools:call",
        answers={200: (CallStatus, DryRun), 202: (CallStatus,)},
        refusals=(404, 409, 429),
        headers={"Idempotency-Key": "The same key makes a call with an effect once."},
    ),
    get(
        "/calls/{call_id}",
        show_call,
        query=Nothing,
        name="show_call",
        summary="Show how a call stands.",
        scope="tools:call",
        answers={200: (CallStatus,)},
        refusals=(404,),
    ),
    post(
        "/calls/{call_id}/undo",
        undo_call,
        body=Nothing,
        name="undo_call",
        summary="Take a call back, through the same door.",
        scope="tools:call",
        answers={200: (CallStatus,), 202: (CallStatus,)},
        refusals=(404, 409, 429),
    ),
)
