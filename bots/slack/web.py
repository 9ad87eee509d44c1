"""Slack's Web API, asked as the app itself: to install, to renew tokens, to leave."""

import logging
import re
from base64 import b64encode
from collections.abc import Awaitable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Final, Self, TypeVar, cast
from urllib.parse import urlencode, urljoin

import aiohttp
from aiohttp import ClientConnectorError, ClientSession, ClientTimeout, DummyCookieJar
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.slack.manifest import BOT_SCOPES
from core.domain.chat import BotTokens, Installation, Surface
from core.errors import InvalidInput, Unavailable

_SECONDS: Final = 10
# What Slack says of a refresh token that will never be good again.
_DEAD: Final = frozenset({"account_inactive", "invalid_refresh_token", "token_revoked"})
_PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "unknown_error",
    }
)
_CODE: Final = re.compile(r"[a-z0-9_:.-]{1,80}", re.ASCII)

_Id = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,50}$")]
_Token = Annotated[str, Field(min_length=1, max_length=4096)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Named(_Told):
    id: _Id
    name: str = ""


class _Renewed(_Told):
    """What Slack answers to a refresh token."""

    access_token: _Token
    refresh_token: _Token | None = None
    expires_in: int | None = Field(default=None, ge=1)

    def expires_at(self, now: datetime) -> datetime | None:
        return now + timedelta(seconds=self.expires_in) if self.expires_in else None


class _Installed(_Renewed):
    """What Slack answers to a code (oauth.v2.access)."""

    app_id: _Id
    bot_user_id: _Id
    scope: str = ""
    team: _Named | None = None
    enterprise: _Named | None = None
    is_enterprise_install: bool = False

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.enterprise if self.is_enterprise_install else self.team) is None:
            raise ValueError("it was installed nowhere")
        return self

    @property
    def place(self) -> _Named:
        place = self.enterprise if self.is_enterprise_install else self.team
        return cast("_Named", place)


class _Tested(_Told):
    """What Slack answers about a token (auth.test)."""

    team_id: _Id
    team: str
    user_id: _Id
    bot_id: _Id
    enterprise_id: _Id | None = None
    is_enterprise_install: bool = False


class _Bot(_Told):
    app_id: _Id


class _BotTold(_Told):
    """What Slack answers about a bot (bots.info)."""

    bot: _Bot


class WebApi:
    """Asks Slack. One pool of connections for all, without cookies, proxies or redirections.

    Open within ``async with``, or else each request makes a connection of its own.
    """

    def __init__(self, *, client_id: str, client_secret: str, url: str) -> None:
        """Take the app's credentials, and where the Web API is."""
        self._client_id = client_id
        self._client_secret = client_secret
        self._url = url
        self._session: ClientSession | None = None
        # As debug entries the SDK writes whole requests; as errors, what Slack has answered.
        self._log = logging.getLogger("bots.slack.sdk")
        self._log.setLevel(logging.CRITICAL)

    async def __aenter__(self) -> Self:
        """Open the pool."""
        # Cookies of one workspace are no other's.
        self._session = ClientSession(
            timeout=ClientTimeout(total=_SECONDS), cookie_jar=DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def client(self, token: str | None) -> AsyncWebClient:
        """Return a client with this token.

        It tries again only where no connection was made, so that nothing is said twice. A rate
        limit is the caller's to wait for.
        """
        connecting = AsyncConnectionErrorRetryHandler(error_types=[ClientConnectorError])
        client = AsyncWebClient(
            token=token,
            base_url=self._url,
            timeout=_SECONDS,
            session=self._session,
            trust_env_in_session=False,
            logger=self._log,
            retry_handlers=[connecting],
        )
        # It looks for a proxy in the environment unless one is given.
        client.proxy = None
        return client

    def authorize_url(self, *, state: str, redirect_uri: str) -> str:
        """Return where to send an admin's browser, so that they say where to install the app."""
        asked = {
            "client_id": self._client_id,
            "scope": ",".join(BOT_SCOPES),
            "user_scope": "",
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{urljoin(self._url, '/oauth/v2/authorize')}?{urlencode(asked)}"

    async def installed(self, code: str, *, redirect_uri: str, now: datetime) -> Installation:
        """Return what a code stands for.

        Raises:
            InvalidInput: ``install_failed``, with what Slack says.
            Unavailable: ``slack_unavailable``.
        """
        answer = await self._oauth({"code": code, "redirect_uri": redirect_uri})
        if isinstance(answer, str):
            raise InvalidInput("install_failed", detail=f"Slack says {answer}")
        told = _parsed(_Installed, answer)
        return Installation(
            surface=Surface.SLACK,
            workspace=told.place.id,
            name=told.place.name or told.place.id,
            app=told.app_id,
            bot_user=told.bot_user_id,
            scopes=tuple(sorted(filter(None, told.scope.split(",")))),
            token=told.access_token,
            refresh_token=told.refresh_token,
            token_expires_at=told.expires_at(now),
        )

    async def renewed(
        self, refresh_token: str, *, now: datetime
    ) -> tuple[BotTokens, datetime | None] | None:
        """Return what a refresh token stands for, and until when that is good; it works once.

        None where it is worth nothing any more.

        Raises:
            Unavailable: ``slack_unavailable``: it may be worth something later.
        """
        asked = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = await self._oauth(asked)
        if isinstance(answer, str):
            if answer in _DEAD:
                return None
            raise Unavailable("slack_unavailable", detail=answer)
        told = _parsed(_Renewed, answer)
        tokens = BotTokens(
            token=told.access_token, refresh_token=told.refresh_token or refresh_token
        )
        return tokens, told.expires_at(now)

    async def of_token(self, token: str) -> Installation:
        """Return what a bot token stands for that was made at Slack itself; it does not expire.

        Raises:
            InvalidInput: ``install_failed``, with what Slack says.
            Unavailable: ``slack_unavailable``.
        """
        client = self.client(token)
        tested = await self._answer(client.api_call("auth.test"))  # pyright: ignore[reportUnknownMemberType] - its arguments are untyped
        if isinstance(tested, str):
            raise InvalidInput("install_failed", detail=f"Slack says {tested}")
        who = _parsed(_Tested, tested)
        told = await self._answer(client.api_call("bots.info", data={"bot": who.bot_id}))  # pyright: ignore[reportUnknownMemberType] - its arguments are untyped
        if isinstance(told, str):
            raise InvalidInput("install_failed", detail=f"Slack says {told}")
        place = who.enterprise_id if who.is_enterprise_install else who.team_id
        return Installation(
            surface=Surface.SLACK,
            workspace=place or who.team_id,
            name=who.team,
            app=_parsed(_BotTold, told).bot.app_id,
            bot_user=who.user_id,
            scopes=(),
            token=token,
        )

    async def uninstall(self, token: str) -> None:
        """Take the app out of the workspace that the token is of.

        Raises:
            Unavailable: ``slack_unavailable``, whatever the reason.
        """
        client = self.client(token)
        try:
            with _reached():
                asked = {"client_id": self._client_id, "client_secret": self._client_secret}
                await client.apps_uninstall(**asked)  # pyright: ignore[reportUnknownMemberType] - its arguments are untyped
        except SlackApiError as error:
            raise Unavailable("slack_unavailable", detail=error_of(error)) from error

    async def _oauth(self, asked: Mapping[str, str]) -> Mapping[str, object] | str:
        """Return Slack's answer, or the code of its no.

        Raises:
            Unavailable: ``slack_unavailable``.
        """
        client = self.client(None)
        # Not the SDK's oauth_v2_access: it makes the header with a class that is on its way out.
        told = f"{self._client_id}:{self._client_secret}".encode()
        headers = {"Authorization": f"Basic {b64encode(told).decode()}"}
        return await self._answer(
            client.api_call("oauth.v2.access", data=dict(asked), headers=headers)  # pyright: ignore[reportUnknownMemberType] - its arguments are untyped
        )

    async def _answer(self, asked: Awaitable[AsyncSlackResponse]) -> Mapping[str, object] | str:
        """Return Slack's answer, or the code of its no.

        Raises:
            Unavailable: ``slack_unavailable``.
        """
        try:
            with _reached():
                response = await asked
        except SlackApiError as error:
            code = error_of(error)
            if code in _PASSING:
                raise Unavailable("slack_unavailable", detail=code) from None
            return code
        data = cast("object", response.data)
        return cast("Mapping[str, object]", data) if isinstance(data, dict) else {}


def error_of(error: SlackApiError) -> str:
    """Return the code of Slack's no, whatever it has answered instead of one."""
    response = cast("object", error.response)
    data = cast("object", response.data) if isinstance(response, AsyncSlackResponse) else None
    told = cast("dict[str, object]", data).get("error") if isinstance(data, dict) else None
    return told if isinstance(told, str) and _CODE.fullmatch(told) else "unknown_error"


@contextmanager
def _reached() -> Generator[None]:
    """Turn what goes wrong on the way to Slack into ours.

    Raises:
        Unavailable: ``slack_unavailable``.
    """
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("slack_unavailable", detail=type(error).__name__) from error


_Answer = TypeVar("_Answer", bound=_Told)


def _parsed(kind: type[_Answer], answer: Mapping[str, object]) -> _Answer:
    try:
        return kind.model_validate(answer)
    except ValidationError:
        # Without its cause, which quotes the answer, tokens and all.
        raise Unavailable("slack_unavailable", detail="its answer cannot be read") from None
