"""As much of Slack as installing the app takes, on this machine: codes, tokens, a socket."""

import asyncio
import json
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET = "111.222", "client-secret", "signing-secret-of-tests"
APP_TOKEN = "xapp-1-tests"

Json = dict[str, Any]  # Any: what Slack answers, often wrong on purpose


@dataclass(slots=True)
class SlackApi:
    """What Slack says; a test changes it, and the next request sees that."""

    url: str = ""
    codes: dict[str, Json] = field(default_factory=dict[str, Json])
    refresh_tokens: set[str] = field(default_factory=set[str])
    expires_in: int | None = 43_200
    failing: str = ""
    down: bool = False
    asked: list[tuple[str, Mapping[str, str]]] = field(
        default_factory=list[tuple[str, Mapping[str, str]]]
    )
    envelopes: asyncio.Queue[Json | None] = field(default_factory=asyncio.Queue[Json | None])
    acknowledged: asyncio.Queue[Json] = field(default_factory=asyncio.Queue[Json])

    def code(self, team: str = "T0001", /, **changed: object) -> str:
        """Return a code that stands for an installation in this team."""
        code = secrets.token_hex(8)
        self.codes[code] = {
            "app_id": "A0001",
            "bot_user_id": "U0BOT",
            "token_type": "bot",
            "scope": "chat:write,commands",
            "team": {"id": team, "name": f"Team {team}"},
            "enterprise": None,
            "is_enterprise_install": False,
            "authed_user": {"id": "U0ADMIN"},
            **changed,
        }
        return code

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    def tokens(self) -> Json:
        """Return new tokens, as Slack would tell them."""
        if self.expires_in is None:
            return {"access_token": f"xoxb-{secrets.token_hex(8)}"}
        refresh_token = f"xoxe-1-{secrets.token_hex(8)}"
        self.refresh_tokens.add(refresh_token)
        return {
            "access_token": f"xoxe.xoxb-1-{secrets.token_hex(8)}",
            "refresh_token": refresh_token,
            "expires_in": self.expires_in,
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        form = {name: str(value) for name, value in (await request.post()).items()}
        told = {**request.query, **form}
        self.asked.append((method, told))
        if self.down:
            return web.Response(status=503, text="<html>down</html>", content_type="text/html")
        if self.failing:
            return web.json_response({"ok": False, "error": self.failing})
        answer: Json = {"ok": True}
        match method:
            case "oauth.v2.access":
                answer = self._access(request, told)
            case "apps.connections.open":
                ok = request.headers["authorization"] == f"Bearer {APP_TOKEN}"
                there = self.url.replace("http", "ws").replace("/api/", "/socket")
                answer = {"ok": True, "url": there} if ok else {"ok": False, "error": "not_authed"}
            case "auth.test":
                token = request.headers["authorization"]
                answer |= {"team_id": "T0001", "team": "Team T0001", "user_id": "U0BOT"}
                answer |= {"bot_id": "B0001", "token": token}
            case "bots.info":
                answer |= {"bot": {"id": told["bot"], "app_id": "A0001", "user_id": "U0BOT"}}
            case _:
                pass
        return web.json_response(answer)

    def _access(self, request: web.Request, told: Mapping[str, str]) -> Json:
        client = b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers["authorization"] != f"Basic {client}":
            return {"ok": False, "error": "bad_client_secret"}
        if told.get("grant_type") == "refresh_token":
            if told["refresh_token"] not in self.refresh_tokens:
                return {"ok": False, "error": "invalid_refresh_token"}
            self.refresh_tokens.discard(told["refresh_token"])
            return {"ok": True, "token_type": "bot", **self.tokens()}
        installed = self.codes.pop(told["code"], None)
        if installed is None:
            return {"ok": False, "error": "invalid_code"}
        return {"ok": True, **self.tokens(), **installed}

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Say what a test has put into ``envelopes``; None ends the connection."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)

        async def hear() -> None:
            async for message in socket:
                self.acknowledged.put_nowait(json.loads(message.data))

        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(hear())
            while (envelope := await self.envelopes.get()) is not None:
                await socket.send_json(envelope)
            await socket.close()
            hearing.cancel()
        return socket


@asynccontextmanager
async def slack_here() -> AsyncGenerator[SlackApi]:
    """Run a Slack on a free port of this machine."""
    slack = SlackApi()
    app = web.Application()
    app.router.add_route("*", "/api/{method}", slack.answer)
    app.router.add_get("/socket", slack.socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    slack.url = f"http://127.0.0.1:{port}/api/"
    try:
        yield slack
    finally:
        await runner.cleanup()
