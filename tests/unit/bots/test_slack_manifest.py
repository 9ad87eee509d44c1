"""The manifest says what the app needs, and nothing that it does not."""

import json

import yaml

from bots.slack.manifest import (
    ASK_SHORTCUT,
    BOT_EVENTS,
    BOT_SCOPES,
    COMMAND,
    as_json,
    as_yaml,
    manifest,
)

URL = "https://agents.acme.test"


def texts(value: object) -> str:
    return json.dumps(value)


def test_everything_that_slack_sends_comes_to_one_address() -> None:
    told = texts(manifest(URL, socket_mode=False))
    assert told.count(f'"{URL}/slack/events"') == 3
    assert f'"redirect_urls": ["{URL}/slack/oauth_redirect"]' in told


def test_socket_mode_names_no_address_for_events() -> None:
    told = manifest(None, socket_mode=True)
    assert "://" not in texts(told)
    assert "request_url" not in texts(told)
    assert '"socket_mode_enabled": true' in texts(told)
    # Nobody could renew the tokens of an app that is installed at Slack.
    assert '"token_rotation_enabled": false' in texts(told)
    with_pages = texts(manifest(URL, socket_mode=True))
    assert "/slack/oauth_redirect" in with_pages
    assert "/slack/events" not in with_pages


def test_what_slack_limits_is_within_its_limits() -> None:
    told = json.loads(as_json(manifest(URL, socket_mode=False)))
    shown = told["display_information"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 174 <= len(shown["long_description"]) <= 4000
    features = told["features"]
    assert len(features["agent_view"]["agent_description"]) <= 300
    assert 1 <= len(features["agent_view"]["suggested_prompts"]) <= 4
    (shortcut,) = features["shortcuts"]
    assert (shortcut["type"], shortcut["callback_id"]) == ("message", ASK_SHORTCUT)
    assert len(shortcut["name"]) <= 24
    (command,) = features["slash_commands"]
    assert command["command"] == COMMAND
    assert command["usage_hint"]


def test_the_agent_s_own_view_takes_the_place_of_the_assistant_s() -> None:
    told = texts(manifest(URL, socket_mode=False))
    assert "agent_view" in told
    assert "assistant_view" not in told
    assert "assistant_thread_started" not in told


def test_every_event_has_the_scope_that_it_needs() -> None:
    needs = {
        "agent_session_stopped": "assistant:write",
        "app_mention": "app_mentions:read",
        "message.channels": "channels:history",
        "message.groups": "groups:history",
        "message.im": "im:history",
        "user_change": "users:read",
    }
    without = {"app_home_opened", "app_uninstalled", "tokens_revoked"}
    assert set(BOT_EVENTS) == needs.keys() | without
    assert set(needs.values()) <= set(BOT_SCOPES)


def test_json_and_yaml_say_the_same() -> None:
    told = manifest(URL, socket_mode=False)
    assert json.loads(as_json(told)) == yaml.safe_load(as_yaml(told)) == told
