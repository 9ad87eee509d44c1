"""Slack's way in: what was signed, or came through Socket Mode, goes to Bolt and its listeners."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol, Self, cast

import structlog
from pydantic import BaseModel, Field, model_validator
from slack_bolt.adapter.starlette.async_handler import to_starlette_response
from slack_bolt.async_app import AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bots.bodies import problem
from bots.slack.guard import SlackGuard
from bots.slack.install import InstallPages
from bots.slack.manifest import EVENTS_PATH
from bots.slack.web import WebApi
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace
from core.errors import InvalidInput, SallyportError, Unavailable
from core.ports import Clock

WORKSPACE: Final = "sallyport_workspace"
"""Under this key of Bolt's context a listener finds the Workspace that something happened in."""

# Bolt tells of these without asking whose they are; they come when nothing is left to ask with.
_FAREWELLS: Final = frozenset({"app_uninstalled", "tokens_revoked"})
_NOBODYS: Final = frozenset({"url_verification", "ssl_check"})
_ODD: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_DONE, _NOT_FOUND, _FAILED = 200, 404, 500

Listen = Callable[[AsyncApp], None]
"""Registers listeners."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


_Object = dict[str, Any]  # Any: looked into by whoever needs it


class _Pressed(BaseModel):
    action_id: str | None


class _Form(BaseModel):
    callback_id: str | None = None


class _Shape(BaseModel):
    """As much of a payload as Bolt looks into without looking first."""

    type: str | None = None
    callback_id: str | None = None
    event: _Object = {}
    view: _Form | None = None
    message: _Object | None = None
    actions: Annotated[list[_Pressed], Field(min_length=1)] | None = None
    authorizations: list[_Object] | None = None
    team: str | _Object | None = None
    enterprise: str | _Object | None = None
    user: str | _Object | None = None
    channel: str | _Object | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.type == "event_callback" and not self.event:
            raise ValueError("an event without its event")
        return self


class KnownWorkspaces(Protocol):
    """Whose workspace it is."""

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        ...


class SlackEvents:
    """Bolt with our listeners: each has written its inbox row before Slack is answered."""

    def __init__(
        self,
        web: WebApi,
        *,
        workspaces: KnownWorkspaces,
        listen: Listen,
    ) -> None:
        """Take whose workspaces there are; ``listen`` registers the listeners."""
        self._workspaces = workspaces
        # Bolt's own entries quote what people wrote; what matters of them is logged here.
        silent = logging.getLogger("bots.slack.bolt")
        silent.setLevel(logging.CRITICAL)
        self._app = AsyncApp(
            name="bots.slack.bolt",
            logger=silent,
            client=web.client(None),
            authorize=_authorize,
            # Else Slack is answered first, and an event whose listener fails is lost.
            process_before_response=True,
            # The guard has done it, on the bytes as they came.
            request_verification_enabled=False,
        )
        self._app.error(_failed)
        listen(self._app)

    async def answer(self, payload: JsonObject, tried: Mapping[str, str]) -> Response:
        """Answer one payload over HTTP; see ``told``."""
        try:
            return to_starlette_response(await self.told(payload, tried))
        except SallyportError as error:
            return problem(error)

    async def told(self, payload: JsonObject, tried: Mapping[str, str]) -> BoltResponse:
        """Hand one payload to its listeners, and return what Slack is to be told: 200, always.

        Slack asks again where anything is raised. What nobody listens for, and what comes from a
        workspace that is nobody's, is taken and dropped: asking again would change nothing.

        Raises:
            InvalidInput: ``malformed_body``: it is none of Slack's shapes.
            Unavailable: ``database_unavailable``: the listener could not keep it.
        """
        request = _request(payload, tried)
        workspace = await self._workspace(request)
        if workspace is None and payload.get("type") not in _NOBODYS and "ssl_check" not in payload:
            _log.info("slack.dropped", kind=_kind(payload), reason="nobody is installed there")
            return BoltResponse(status=_DONE, body="")
        request.context[WORKSPACE] = workspace
        try:
            response = await self._app.async_dispatch(request)
        except _ODD:
            # What listeners raise ends in _failed; this is Bolt's, which looked for more in it.
            raise _malformed() from None
        if response.status == _NOT_FOUND:
            _log.info("slack.dropped", kind=_kind(payload), reason="nobody listens for it")
            return BoltResponse(status=_DONE, body="")
        if response.status >= _FAILED:
            raise Unavailable("database_unavailable")
        return response

    async def _workspace(self, request: AsyncBoltRequest) -> Workspace | None:
        """Return the workspace where something happened, where the app is installed there.

        An install for a whole organisation is known by the organisation, any other by the team.
        """
        context = request.context
        key = context.enterprise_id if context.is_enterprise_install else context.team_id
        if not isinstance(key, str):
            return None
        found = await self._workspaces.find(Surface.SLACK, workspace=key)
        is_farewell = _kind(request.body) in _FAREWELLS
        return found if found is not None and (found.is_active or is_farewell) else None


def slack_routes(
    events: SlackEvents, *, install: InstallPages, signing_secret: str | None, clock: Clock
) -> Sequence[BaseRoute]:
    """Return Slack's addresses; without a signing secret events come through Socket Mode only."""
    if signing_secret is None:
        return install.routes()
    guard = SlackGuard(events.answer, signing_secret=signing_secret, clock=clock)
    return (Route(EVENTS_PATH, guard), *install.routes())


async def _authorize(context: AsyncBoltContext) -> AuthorizeResult:
    """Tell Bolt who we are there, so that it drops what we have said ourselves.

    No token: listeners write a row and ask Slack nothing.
    """
    workspace = cast("Workspace", context[WORKSPACE])
    return AuthorizeResult(
        enterprise_id=context.enterprise_id,
        team_id=context.team_id,
        bot_user_id=workspace.bot_user,
    )


async def _failed(error: Exception) -> BoltResponse:
    """Log what kind of thing went wrong: what it says may quote what people wrote."""
    code = error.code if isinstance(error, SallyportError) else type(error).__name__
    _log.error("slack.listener_failed", code=code)
    return BoltResponse(status=_FAILED, body="")


def _request(payload: JsonObject, tried: Mapping[str, str]) -> AsyncBoltRequest:
    try:
        _Shape.model_validate(payload)
        # The mode says that the body is an object already; Bolt's own parser loses some.
        return AsyncBoltRequest(mode="socket_mode", body=dict(payload), headers=dict(tried))
    except _ODD:
        raise _malformed() from None


def _malformed() -> InvalidInput:
    return InvalidInput("malformed_body", detail="it is none of Slack's shapes")


def _kind(payload: Mapping[str, object]) -> str:
    """Return what happened, for logs: ``message``, ``block_actions``, ``command``."""
    event = payload.get("event")
    if isinstance(event, dict):
        return str(cast("dict[str, object]", event).get("type"))[:80]
    return str(payload.get("type", "command" if "command" in payload else "unknown"))[:80]
