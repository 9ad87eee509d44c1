"""The Bot Connector service over HTTP: holds each call against Teams' rules, and writes it down."""

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.slack.mishaps import Mishap, Mishaps, Where
from tests.teams import activities
from tests.teams.conversations import Conversation, Teams, TeamsError
from tests.teams.login import Login

Json = dict[str, Any]  # Any: what Teams takes and gives

# Per conversation: so many in so many seconds (Teams' "Optimize your bot with rate limiting").
_WINDOWS = ((1.0, 7), (2.0, 8), (30.0, 60), (3600.0, 1800))


@dataclass(slots=True, kw_only=True)
class Call:
    """A call as it came: ``name`` is send, reply, update, delete, create or member."""

    at: float
    name: str
    conversation: str
    message: str
    body: Json
    headers: dict[str, str]
    status: int = 0
    answer: Json = field(default_factory=dict[str, Any])


class Connector:
    """Answers for one Teams; ``mishaps`` are by the calls' names.

    ``enforces_limits`` answers 429 past Teams' limits; past them or not, ``excesses`` counts.
    """

    def __init__(self, login: Login, *, teams: Teams | None = None) -> None:
        self.teams = teams or Teams()
        self.mishaps = Mishaps()
        self.calls: list[Call] = []
        self.asks_for_token = True
        self.enforces_limits = False
        self.excesses = 0
        self.now: Callable[[], float] = time.monotonic
        self.url = ""
        self._login = login

    @property
    def service_url(self) -> str:
        """What activities from here say as their ``serviceUrl``."""
        return f"{self.url}/amer/"

    def made(self, name: str) -> list[Call]:
        """Return the calls of one name that were done."""
        return [one for one in self.calls if one.name == name and one.status < 300]

    def stop(self, conversation: Conversation) -> None:
        """Have the person press the button that stops what is being streamed."""
        for stream in conversation.streams.values():
            stream.is_stopped = stream.is_open

    def application(self) -> web.Application:
        made = web.Application(client_max_size=2**22)
        at = "/amer/v3/conversations"
        one = f"{at}/{{conversation}}/activities"
        made.router.add_post(at, self._answering("create", self._create))
        made.router.add_post(one, self._answering("send", self._send))
        made.router.add_post(f"{one}/{{message}}", self._answering("reply", self._send))
        made.router.add_put(f"{one}/{{message}}", self._answering("update", self._update))
        made.router.add_delete(f"{one}/{{message}}", self._answering("delete", self._delete))
        made.router.add_route("*", "/moved/{tail:.*}", self._moved)
        member = f"{at}/{{conversation}}/members/{{message}}"
        made.router.add_get(member, self._answering("member", self._member))
        return made

    def _answering(
        self, name: str, does: Callable[[Call], tuple[int, Json]]
    ) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.StreamResponse:
            call = await self._called(name, request)
            mishap = self.mishaps.next_for(name, call.body)
            if mishap is not None and (gone := await _goes_wrong(request, call, mishap)):
                return gone
            try:
                self._check_token(request)
                call.status, call.answer = does(call)
            except TeamsError as error:
                call.status = error.status
                call.answer = {"error": {"code": error.code, "message": error.message}}
            if mishap is not None and mishap.cut is Where.AFTER:
                return _cut(request)
            return _answer(call)

        return answer

    async def _moved(self, request: web.Request) -> web.Response:
        to = f"{self.url}/amer/{request.match_info['tail']}"
        return web.Response(status=307, headers={"Location": to})

    async def _called(self, name: str, request: web.Request) -> Call:
        text = await request.text()
        call = Call(
            at=self.now(),
            name=name,
            conversation=request.match_info.get("conversation", ""),
            message=request.match_info.get("message", ""),
            body=json.loads(text) if text else {},
            headers=dict(request.headers),
        )
        self.calls.append(call)
        return call

    def _check_token(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.asks_for_token and token not in self._login.given:
            raise TeamsError(401, "Unauthorized", "Authorization has been denied.")
        if not self.asks_for_token and token:
            raise TeamsError(400, "BadSyntax", "A playground is shown a token.")

    def _send(self, call: Call) -> tuple[int, Json]:
        at = self.teams.conversation(call.conversation)
        activities.check(call.body)
        self._count(at)
        told = activities.streamed(call.body)
        if told is not None:
            id_ = activities.stream(
                call.body, told, at=at, new_id=self.teams.next_id(), now=self.now()
            )
            return (201, {"id": id_}) if id_ else (202, {})
        if call.body["type"] == "typing":
            return 202, {}
        id_ = self.teams.next_id()
        at.messages[id_] = call.body
        return 201, {"id": id_}

    def _update(self, call: Call) -> tuple[int, Json]:
        at = self.teams.conversation(call.conversation)
        activities.check(call.body)
        self._count(at)
        if call.body.get("text") and call.body.get("attachments"):
            raise TeamsError(400, "BadSyntax", "Activity resulted into multiple skype activities")
        if call.message not in at.messages:
            raise TeamsError(404, "ActivityNotFoundInConversation", "There is no such message.")
        at.messages[call.message] = call.body
        return 200, {"id": call.message}

    def _delete(self, call: Call) -> tuple[int, Json]:
        at = self.teams.conversation(call.conversation)
        if at.messages.pop(call.message, None) is None:
            raise TeamsError(404, "ActivityNotFoundInConversation", "There is no such message.")
        return 200, {}

    def _create(self, call: Call) -> tuple[int, Json]:
        members = activities.objects(call.body.get("members"))
        is_group = call.body.get("isGroup")
        if is_group is not False or len(members) != 1 or not call.body.get("tenantId"):
            raise TeamsError(400, "BadSyntax", "Incorrect conversation creation parameters")
        person = self.teams.person(str(members[0].get("id")))
        if person is None or person.tenant != call.body["tenantId"]:
            raise TeamsError(400, "BadSyntax", "Bad format of conversation ID")
        if not person.is_installed:
            raise TeamsError(403, "BotNotInConversationRoster", "The app is not installed.")
        return 201, {"id": self.teams.personal(person.aad).id}

    def _member(self, call: Call) -> tuple[int, Json]:
        at = self.teams.conversation(call.conversation)
        if ";" in call.conversation:
            raise TeamsError(400, "BadSyntax", "Bad format of conversation ID")
        person = self.teams.person(call.message)
        if person is None or person.aad not in at.people:
            raise TeamsError(404, "MemberNotFoundInConversation", "There is no such member.")
        return 200, person.told()

    def _count(self, at: Conversation) -> None:
        now = self.now()
        at.sent_at.append(now)
        for seconds, most in _WINDOWS:
            if len([one for one in at.sent_at if one > now - seconds]) > most:
                self.excesses += 1
                if self.enforces_limits:
                    at.sent_at.pop()
                    raise TeamsError(429, "Throttled", "Too many requests")


@asynccontextmanager
async def serving(connector: Connector) -> AsyncGenerator[Connector]:
    """Serve it on loopback for as long as the block lasts; ``service_url`` says where."""
    runner = web.AppRunner(connector.application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        connector.url = f"http://{host}:{port}"
        yield connector
    finally:
        connector.mishaps.over()
        await runner.cleanup()


async def _goes_wrong(
    request: web.Request, call: Call, mishap: Mishap
) -> web.StreamResponse | None:
    """Return the answer where the call is not done at all."""
    if mishap.hangs is not None:
        await mishap.hangs.wait()
        return None
    if mishap.cut is not None:
        return _cut(request) if mishap.cut is Where.BEFORE else None
    call.status = mishap.status
    if not mishap.error:
        return web.Response(status=mishap.status, text="<html>upstream trouble</html>")
    call.answer = {"error": {"code": mishap.error, "message": mishap.error}}
    return _answer(call, retry_after=mishap.retry_after)


def _answer(call: Call, *, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if call.status == 429:
        headers.setdefault("Retry-After", "1")
    if not call.answer:
        return web.Response(status=call.status, headers=headers)
    return web.json_response(call.answer, status=call.status, headers=headers)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
