"""Teams' way in: what Microsoft has signed is kept, and whoever clicked is answered at once."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from starlette.responses import JSONResponse, Response

from bots.arrivals import Click, Submission
from bots.mistakes import mistakes
from bots.teams.answers import Answers, Shown
from bots.teams.listeners import Listener
from bots.teams.looking import card_of
from bots.teams.payloads import Activity
from bots.teams.reading import TeamsReading, activity_of, is_personal, look, read
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace
from core.domain.ids import TenantId
from core.errors import InvalidInput, Refused, Unavailable

MESSAGES_PATH: Final = "/api/messages"

_CARD: Final = "application/vnd.microsoft.card.adaptive"
_SAY: Final = "application/vnd.microsoft.activity.message"
_ERROR: Final = "application/vnd.microsoft.error"
_ASKED: Final = "Asked. The answer comes in your own chat with me."
_TAKEN: Final = "Taken. What comes of it shows here in a moment."
_DONE: Final = "Done. What comes of it is told here."
_INVOKE: Final = "invoke"
# The log names no other: what an activity calls itself is of its body.
_KINDS: Final = frozenset({"message", _INVOKE, "installationUpdate", "conversationUpdate"})
# After a click has waited as well, Teams would wait little longer.
_LOOK_SECONDS: Final = 3.0
_EXECUTE: Final = "adaptiveCard/action"

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class KnownWorkspaces(Protocol):
    """Whose workspace it is."""

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        ...


class Views(Protocol):
    """What a question's card looks like to one person."""

    async def card(
        self, tenant_id: TenantId, *, workspace: str, user: str, channel: str, value: str
    ) -> JsonObject:
        """Return the Adaptive Card of a question as this account sees it.

        Raises:
            Refused: the card that all see is theirs, too.
            Unavailable: ``teams_unavailable``: nobody can say who they are.
        """
        ...


class TeamsEvents:
    """Answers activities whose sender was checked: each has its inbox row before that."""

    def __init__(
        self, *, workspaces: KnownWorkspaces, listener: Listener, answers: Answers, looking: Views
    ) -> None:
        """Take whose tenants there are, who keeps what arrives, and who shows what comes of it."""
        self._workspaces = workspaces
        self._listener = listener
        self._answers = answers
        self._looking = looking

    async def answer(self, payload: JsonObject) -> Response:
        """Answer one activity. What comes from a tenant that is nobody's is taken and dropped.

        Raises:
            InvalidInput: ``malformed_body``: it is none of Teams' shapes.
            Unavailable: ``database_unavailable``: it could not be kept.
        """
        activity = activity_of(payload)
        if activity is None:
            raise InvalidInput("malformed_body", detail="it is no activity of Teams'")
        found = await self._workspaces.find(Surface.TEAMS, workspace=activity.tenant)
        if found is None or not found.is_active:
            kind = activity.type if activity.type in _KINDS else "another"
            _log.info("teams.dropped", kind=kind, reason="the tenant is not let in")
            return _nothing(activity)
        asked = look(activity)
        if asked is not None:
            card = await self._seen(found, activity, value=asked.value)
            return _executed(card) if card else _unchanged()
        row = read(activity)
        if row is None:
            return _nothing(activity)
        if activity.type != _INVOKE:
            await self._listener.keep(row, workspace=found.workspace)
            return Response(status_code=HTTPStatus.OK)
        return await self._invoked(found, activity, row=row)

    async def _invoked(
        self, workspace: Workspace, activity: Activity, *, row: TeamsReading
    ) -> Response:
        """Keep what somebody clicked, and show them what comes of it where that is known soon."""
        if wrong := _mistakes(row):
            return _said(activity, " ".join(wrong.values()))
        with self._answers.expected(row.external_id) as waiting:
            is_new = await self._listener.keep(row, workspace=workspace.workspace)
            # What was kept before is handled, or being handled for whoever waits for that.
            shown = await waiting.shown() if is_new else None
        if shown is not None and shown.form is not None:
            return _opened(activity, shown.form)
        if shown is not None and shown.note is not None:
            return _noted(activity, shown.note)
        return await self._as_it_stands(workspace, activity, row=row, shown=shown)

    async def _as_it_stands(
        self,
        workspace: Workspace,
        activity: Activity,
        *,
        row: TeamsReading,
        shown: Shown | None,
    ) -> Response:
        if activity.name != _EXECUTE:
            return _said(activity, _ASKED if shown else _TAKEN)
        card = await self._seen(workspace, activity, value=_carried(row))
        return _executed(card) if card else _said(activity, _DONE if shown else _TAKEN)

    async def _seen(
        self, workspace: Workspace, activity: Activity, *, value: str
    ) -> JsonObject | None:
        """Return somebody's own view of a question's card; None: what all see is theirs, too.

        That is so as well where nobody can say now who they are: what they did is kept already.
        """
        conversation = activity.conversation.id.partition(";")[0]
        user = activity.sender.aad
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._looking.card(
                    workspace.tenant_id,
                    workspace=workspace.workspace,
                    user=user,
                    channel=f"@{user}" if is_personal(activity) else conversation,
                    value=value,
                )
        except (Refused, Unavailable) as error:
            _log.info("teams.not_shown", code=error.code)
        except TimeoutError:
            _log.info("teams.not_shown", code="teams_unavailable")
        return None


def _mistakes(row: TeamsReading) -> Mapping[str, str]:
    deed = row.kept.done
    return mistakes(deed) if isinstance(deed, Submission) else {}


def _carried(row: TeamsReading) -> str:
    match row.kept.done:
        case Click(value=value):
            return value
        case Submission(carried=carried):
            return carried
        case _:
            return ""


def _opened(activity: Activity, form: JsonObject) -> Response:
    card = form["card"]
    if activity.name == _EXECUTE:
        return _executed(card)
    told = {"contentType": _CARD, "content": card}
    value = {"title": form["title"], "width": "medium", "height": "medium", "card": told}
    return JSONResponse({"task": {"type": "continue", "value": value}})


def _noted(activity: Activity, note: JsonObject) -> Response:
    """Show a note: as a card where it is one with something to press, else as a line of text."""
    told = note["activity"]
    if note.get("shows_card"):
        title = str(told.get("summary", "")) if isinstance(told, Mapping) else ""
        return _opened(activity, {"card": card_of(note), "title": title})
    words = told.get("summary") or told.get("text") if isinstance(told, Mapping) else ""
    return _said(activity, str(words))


def _said(activity: Activity, words: str) -> Response:
    match activity.name:
        case "adaptiveCard/action":
            return JSONResponse({"statusCode": 200, "type": _SAY, "value": words})
        case "composeExtension/fetchTask" | "composeExtension/submitAction":
            return JSONResponse({"task": {"type": "message", "value": words}})
        case _:
            return JSONResponse({})


def _executed(card: object) -> Response:
    return JSONResponse({"statusCode": 200, "type": _CARD, "value": card})


def _unchanged() -> Response:
    """Leave the card as all see it."""
    error = {"code": "NotShown", "message": "This card looks the same to everybody."}
    return JSONResponse({"statusCode": 403, "type": _ERROR, "value": error})


def _nothing(activity: Activity) -> Response:
    """Answer what is not for us: an invoke wants a body, and is shown nothing."""
    if activity.type != _INVOKE:
        return Response(status_code=HTTPStatus.OK)
    if activity.name == _EXECUTE:
        return _unchanged()
    return JSONResponse({}, status_code=HTTPStatus.OK)
