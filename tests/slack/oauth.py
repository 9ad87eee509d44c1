"""OAuth as Slack has it: a page where somebody allows the app, a code, tokens that may expire."""

import base64
import binascii
import html
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.slack.workspace import (
    APP,
    CLIENT_ID,
    CLIENT_SECRET,
    ROTATION_SECONDS,
    Slack,
    SlackError,
    Workspace,
)

Json = dict[str, Any]  # Any: what Slack takes and gives


def page(slack: Slack, asked: Mapping[str, str]) -> str:
    """Return the page where a person of a workspace allows the app; one form each."""
    if asked.get("client_id") != CLIENT_ID:
        return "<p>Invalid client_id parameter</p>"
    kept = {name: asked.get(name, "") for name in ("client_id", "scope", "state", "redirect_uri")}
    hidden = "".join(_hidden(name, value) for name, value in kept.items())
    forms = [
        f'<form method="post" action="/oauth/v2/authorize/callback">{hidden}'
        f"{_hidden('user_id', user.id)}{_hidden('team', workspace.team)}"
        f"<button>{html.escape(user.name)} of {html.escape(workspace.name)}</button></form>"
        for workspace in slack.workspaces.values()
        for user in workspace.users.values()
        if not (user.is_bot or user.deleted or user.is_stranger)
    ]
    return f"<!doctype html><title>Slack</title>{''.join(forms)}"


def allowed(slack: Slack, filled: Mapping[str, str]) -> str:
    """Return where the browser goes once somebody has allowed the app."""
    code = f"code-{len(slack.codes) + 1}"
    slack.codes[code] = (filled["team"], dict(filled))
    return f"{filled['redirect_uri']}?{urlencode({'code': code, 'state': filled['state']})}"


def access(slack: Slack, given: Mapping[str, Any], *, authorization: str) -> Json:
    """Answer oauth.v2.access: a code for tokens, or a refresh token for new ones."""
    client_id, secret = _client(given, authorization)
    if client_id != CLIENT_ID:
        raise SlackError("invalid_client_id")
    if secret != CLIENT_SECRET:
        raise SlackError("bad_client_secret")
    if given.get("grant_type") == "refresh_token":
        return _refreshed(slack, str(given.get("refresh_token", "")))
    team, filled = slack.codes.pop(str(given.get("code", "")), ("", {}))
    if not team:
        raise SlackError("invalid_code")
    if given.get("redirect_uri", filled["redirect_uri"]) != filled["redirect_uri"]:
        raise SlackError("bad_redirect_uri")
    scopes = frozenset(one for one in filled["scope"].split(",") if one)
    return _granted(slack, slack.workspaces[team], scopes, by=filled["user_id"])


def _refreshed(slack: Slack, refresh: str) -> Json:
    for workspace in slack.workspaces.values():
        if refresh in workspace.refresh_tokens:
            workspace.refresh_tokens.remove(refresh)
            granted = [one.scopes for one in workspace.tokens.values()]
            return _granted(slack, workspace, granted[-1] or frozenset(), by="")
    raise SlackError("invalid_refresh_token")


def _granted(slack: Slack, workspace: Workspace, scopes: frozenset[str], *, by: str) -> Json:
    token = workspace.token(scopes=scopes)
    told: Json = {
        "access_token": token,
        "token_type": "bot",
        "scope": ",".join(sorted(scopes)),
        "bot_user_id": workspace.bot_user,
        "app_id": APP,
        "team": {"id": workspace.team, "name": workspace.name},
        "enterprise": {"id": workspace.enterprise} if workspace.enterprise else None,
        "is_enterprise_install": False,
        "authed_user": {"id": by} if by else {},
    }
    if slack.rotates:
        refresh = f"xoxe-{workspace.team}-{workspace.number()}"
        workspace.refresh_tokens.add(refresh)
        workspace.tokens[token].expires_at = time.time() + ROTATION_SECONDS
        told |= {"refresh_token": refresh, "expires_in": ROTATION_SECONDS}
    return told


def _client(given: Mapping[str, Any], authorization: str) -> tuple[str, str]:
    if authorization.startswith("Basic "):
        try:
            told = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        except (binascii.Error, ValueError):
            return "", ""
        client_id, _, secret = told.partition(":")
        return client_id, secret
    return str(given.get("client_id", "")), str(given.get("client_secret", ""))


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
