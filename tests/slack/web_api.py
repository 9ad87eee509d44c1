"""Slack's Web API over HTTP: finds the method, holds the call against the rules, writes it down."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from tests.slack import chat, directory, files, modals, oauth, streams
from tests.slack.arguments import Asked
from tests.slack.mishaps import Mishap, Where
from tests.slack.workspace import (
    ALICE,
    BOB,
    CAROL,
    Call,
    Message,
    Slack,
    SlackError,
    Workspace,
)

Json = dict[str, Any]  # Any: what Slack takes and gives

_WITHOUT_TOKEN = frozenset({"oauth.v2.access", "api.test"})
_LARGEST = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method: what does it, what it cannot be without, and one of which scopes it needs."""

    does: Callable[[Asked], Json]
    needs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


def _writes(does: Callable[[Asked], Json], *needs: str) -> Method:
    return Method(does=does, needs=needs, scopes=("chat:write",))


def _assists(does: Callable[[Asked], Json], *needs: str) -> Method:
    return Method(does=does, needs=needs, scopes=("assistant:write", "chat:write"))


def _reads(does: Callable[[Asked], Json], *needs: str, what: str) -> Method:
    kinds = ("channels", "groups", "im", "mpim")
    return Method(does=does, needs=needs, scopes=tuple(f"{kind}:{what}" for kind in kinds))


METHODS: Mapping[str, Method] = {
    "agents.sessions.rename": _assists(streams.rename_session, "channel_id", "title"),
    "agents.sessions.setStatus": _writes(streams.set_session_status, "channel_id", "status"),
    "api.test": Method(does=lambda _: {}),
    "apps.uninstall": Method(does=directory.uninstall),
    "assistant.threads.setStatus": _assists(
        streams.set_thread_status, "channel_id", "thread_ts", "status"
    ),
    "assistant.threads.setSuggestedPrompts": _assists(
        streams.set_suggested_prompts, "channel_id", "prompts"
    ),
    "assistant.threads.setTitle": _assists(streams.set_title, "channel_id", "thread_ts", "title"),
    "auth.revoke": Method(does=directory.revoke),
    "auth.test": Method(does=directory.who_am_i),
    "bots.info": Method(does=directory.bot, scopes=("users:read",)),
    "chat.appendStream": _writes(streams.append, "channel", "ts"),
    "chat.delete": _writes(chat.delete, "channel", "ts"),
    "chat.getPermalink": Method(does=chat.permalink, needs=("channel", "message_ts")),
    "chat.postEphemeral": _writes(chat.post_ephemeral, "channel", "user"),
    "chat.postMessage": _writes(chat.post_message, "channel"),
    "chat.startStream": _writes(streams.start, "channel"),
    "chat.stopStream": _writes(streams.stop, "channel", "ts"),
    "chat.update": _writes(chat.update, "channel", "ts"),
    "conversations.history": _reads(directory.history, "channel", what="history"),
    "conversations.info": _reads(directory.conversation, "channel", what="read"),
    "conversations.members": _reads(directory.members, "channel", what="read"),
    "conversations.open": Method(does=directory.opened, scopes=("im:write",)),
    "conversations.replies": _reads(directory.replies, "channel", "ts", what="history"),
    "files.completeUploadExternal": Method(
        does=files.complete, needs=("files",), scopes=("files:write",)
    ),
    "files.getUploadURLExternal": Method(
        does=files.upload_url, needs=("filename", "length"), scopes=("files:write",)
    ),
    "reactions.add": Method(
        does=directory.react, needs=("channel", "name"), scopes=("reactions:write",)
    ),
    "reactions.remove": Method(
        does=directory.take_reaction_back, needs=("name",), scopes=("reactions:write",)
    ),
    "team.info": Method(does=directory.team, scopes=("team:read",)),
    "usergroups.list": Method(does=directory.groups, scopes=("usergroups:read",)),
    "usergroups.users.list": Method(
        does=directory.users_of_group, needs=("usergroup",), scopes=("usergroups:read",)
    ),
    "users.info": Method(does=directory.user, needs=("user",), scopes=("users:read",)),
    "users.list": Method(does=directory.users, scopes=("users:read",)),
    "users.lookupByEmail": Method(
        does=directory.user_by_email, needs=("email",), scopes=("users:read.email",)
    ),
    "views.open": Method(does=modals.opened, needs=("view",)),
    "views.publish": Method(does=modals.published, needs=("user_id", "view")),
    "views.push": Method(does=modals.pushed, needs=("view",)),
    "views.update": Method(does=modals.updated, needs=("view",)),
}


class WebApi:
    """Answers for one Slack."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def application(self) -> web.Application:
        made = web.Application(client_max_size=_LARGEST)
        made.router.add_route("*", "/api/{method}", self._called)
        made.router.add_post("/upload/v1/{file}", self._uploaded)
        made.router.add_get("/oauth/v2/authorize", self._authorize)
        made.router.add_post("/oauth/v2/authorize/callback", self._allowed)
        made.router.add_post("/actions/{team}/{number}", self._responded)
        made.router.add_get("/told", self._told)
        return made

    async def _called(self, request: web.Request) -> web.StreamResponse:
        given = await _given(request)
        call = Call(at=time.monotonic(), method=request.match_info["method"], arguments=given)
        self._slack.calls.append(call)
        mishap = self._slack.mishaps.next_for(call.method, given)
        if mishap is not None and (gone := await self._goes_wrong(request, call, mishap)):
            return gone
        try:
            call.answer = {"ok": True, **self._answer(request, call)}
            call.status = 200
        except SlackError as refusal:
            call.answer = {"ok": False, "error": refusal.code, **refusal.more}
            call.status = 429 if refusal.code == "ratelimited" else 200
        if mishap is not None and mishap.cut is Where.AFTER:
            return _cut(request)
        wait = call.answer.get("retry_after")
        return _json(call.answer, status=call.status, retry_after=wait)

    def _answer(self, request: web.Request, call: Call) -> Json:
        authorization = request.headers.get("Authorization", "")
        method = METHODS.get(call.method)
        if call.method == "oauth.v2.access":
            return oauth.access(self._slack, call.arguments, authorization=authorization)
        token = str(call.arguments.get("token") or authorization.removeprefix("Bearer ").strip())
        if method is None:
            raise SlackError("unknown_method", req_method=call.method)
        workspace, known = self._slack.whose(token)
        call.team = workspace.team
        self._count(call)
        if known.scopes is not None and method.scopes and not known.scopes & set(method.scopes):
            needed, provided = ",".join(method.scopes), ",".join(sorted(known.scopes))
            raise SlackError("missing_scope", needed=needed, provided=provided)
        missing = [name for name in method.needs if call.arguments.get(name) in (None, "")]
        if missing:
            raise chat.invalid(
                "invalid_arguments", [f"missing required field: {name}" for name in missing]
            )
        if self._slack.trusts_threads:
            _believe(workspace, call.arguments)
        return method.does(Asked(slack=self._slack, at=workspace, by=known, given=call.arguments))

    def _count(self, call: Call) -> None:
        channel = call.arguments.get("channel")
        wait = self._slack.meter.count(
            team=call.team,
            method=call.method,
            channel=channel if isinstance(channel, str) else None,
            refuses=self._slack.enforces_limits,
        )
        if wait is not None and self._slack.enforces_limits:
            raise SlackError("ratelimited", retry_after=max(1, round(wait + 0.5)))

    async def _goes_wrong(
        self, request: web.Request, call: Call, mishap: Mishap
    ) -> web.StreamResponse | None:
        """Return the answer where the call is not done at all."""
        if mishap.hangs is not None:
            await mishap.hangs.wait()
            return None
        if mishap.cut is not None:
            return _cut(request) if mishap.cut is Where.BEFORE else None
        call.status = mishap.status
        if not mishap.error:
            return web.Response(status=mishap.status, text="upstream trouble")
        call.answer = {"ok": False, "error": mishap.error}
        return _json(call.answer, status=mishap.status, retry_after=mishap.retry_after)

    async def _uploaded(self, request: web.Request) -> web.Response:
        file = request.match_info["file"]
        for workspace in self._slack.workspaces.values():
            if file in workspace.uploads:
                workspace.uploads[file] = await request.read()
                return web.Response(text="OK")
        return web.Response(status=404)

    async def _authorize(self, request: web.Request) -> web.Response:
        shown = oauth.page(self._slack, request.query)
        return web.Response(text=shown, content_type="text/html")

    async def _allowed(self, request: web.Request) -> web.Response:
        filled = {name: str(value) for name, value in (await request.post()).items()}
        return web.Response(status=302, headers={"Location": oauth.allowed(self._slack, filled)})

    async def _responded(self, request: web.Request) -> web.Response:
        self._slack.responses.append((str(request.url), await request.json()))
        return web.Response(text="ok")

    async def _told(self, _request: web.Request) -> web.Response:
        return _json(summary(self._slack), status=200)


def summary(slack: Slack) -> Json:
    """Return in short what was asked and what was too much, for whoever is another process."""
    asked: dict[str, dict[str, int]] = {}
    for call in slack.calls:
        told = asked.setdefault(call.method, {})
        outcome = call.error or str(call.status)
        told[outcome] = told.get(outcome, 0) + 1
    return {
        "calls": asked,
        "excesses": len(slack.meter.excesses),
        "worries": sorted(set(slack.worries)),
        "messages": sum(len(one.messages) for one in slack.workspaces.values()),
    }


@asynccontextmanager
async def serving(slack: Slack, *, port: int = 0) -> AsyncGenerator[Slack]:
    """Serve it on loopback for as long as the block lasts; ``slack.url`` says where."""
    runner = web.AppRunner(WebApi(slack).application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        slack.url = f"http://{host}:{bound}"
        yield slack
    finally:
        slack.mishaps.over()
        await runner.cleanup()


async def _given(request: web.Request) -> Json:
    given: Json = dict(request.query)
    if request.method == "GET":
        return given
    if request.content_type == "application/json":
        told = await request.text()
        try:
            parsed = json.loads(told or "{}")
        except ValueError:
            return given
        return given | cast("Json", parsed) if isinstance(parsed, dict) else given
    return given | dict(await request.post())


def _json(told: Json, *, status: int, retry_after: object = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(told, status=status, headers=headers)


def _believe(at: Workspace, given: Json) -> None:
    channel, thread = given.get("channel", given.get("channel_id")), given.get("thread_ts")
    if channel in at.channels and thread and (channel, thread) not in at.messages:
        user = at.channels[channel].user or ALICE
        at.messages[channel, thread] = Message(channel=channel, ts=thread, user=user)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def main() -> None:
    """Be Slack in a process of one's own: one line says where; it ends with its input."""
    slack = Slack()
    slack.trusts_threads = True
    at = slack.company()
    for user in (ALICE, BOB, CAROL):
        at.im(user)
    async with serving(slack):
        told = {"url": slack.url, "api_url": slack.api_url, "token": at.token()}
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
