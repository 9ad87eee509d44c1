"""Payloads as Slack sends them, each with one line, and whatever a test cares about."""

# Any: Slack's JSON, and whatever a test changes of it.
from typing import Any

TEAM = "T111"
BOT = "UBOT"
ALICE = "UALICE"
Payload = dict[str, Any]


# Any: as above; so it is below.
def an_event(type_: str, *, event_id: str = "Ev1", **fields: Any) -> Payload:  # noqa: ANN401
    return {
        "type": "event_callback",
        "token": "verification-token",
        "team_id": TEAM,
        "event_id": event_id,
        "event_time": 1700000000,
        "authorizations": [
            {"team_id": TEAM, "user_id": BOT, "is_bot": True, "is_enterprise_install": False}
        ],
        "event": {"type": type_, **fields},
    }


def a_message(text: str = "Tidy up.", **fields: Any) -> Payload:  # noqa: ANN401
    said = {
        "user": ALICE,
        "team": TEAM,
        "channel": "D1",
        "channel_type": "im",
        "ts": "1700000000.000100",
        "text": text,
    }
    return an_event("message", **{**said, **fields})


def a_mention(text: str = f"<@{BOT}> tidy up.", **fields: Any) -> Payload:  # noqa: ANN401
    said = {
        "user": ALICE,
        "team": TEAM,
        "channel": "C1",
        "ts": "1700000000.000100",
        "text": text,
    }
    return an_event("app_mention", **{**said, **fields})


def a_click(action: str = "approve", value: str = '{"a":"1"}', **fields: Any) -> Payload:  # noqa: ANN401
    clicked: Payload = {
        "type": "block_actions",
        "token": "verification-token",
        "team": {"id": TEAM, "domain": "acme"},
        "user": {"id": ALICE, "username": "alice", "team_id": TEAM},
        "api_app_id": "A1",
        "trigger_id": "1.2.trigger",
        "response_url": "https://hooks.invalid/secret",
        "container": {
            "type": "message",
            "message_ts": "1700000001.000200",
            "channel_id": "C1",
            "is_ephemeral": False,
        },
        "channel": {"id": "C1", "name": "ops"},
        "message": {"ts": "1700000001.000200", "thread_ts": "1700000000.000100", "text": "card"},
        "actions": [
            {
                "type": "button",
                "action_id": action,
                "block_id": "b",
                "value": value,
                "action_ts": "1700000002.000300",
            }
        ],
    }
    return {**clicked, **fields}


def a_submission(form: str = "deny_form", **fields: Any) -> Payload:  # noqa: ANN401
    submitted: Payload = {
        "type": "view_submission",
        "team": {"id": TEAM},
        "user": {"id": ALICE, "team_id": TEAM},
        "trigger_id": "1.2.trigger",
        "view": {
            "id": "V1",
            "hash": "h1",
            "type": "modal",
            "callback_id": form,
            "private_metadata": '{"a":"1"}',
            "state": {
                "values": {
                    "reason": {"typed": {"type": "plain_text_input", "value": "Not now."}},
                    "empty": {"typed": {"type": "plain_text_input", "value": None}},
                    "choice": {
                        "typed": {
                            "type": "static_select",
                            "selected_option": {"value": "high", "text": {"type": "plain_text"}},
                        }
                    },
                    "due": {"typed": {"type": "datepicker", "selected_date": "2026-12-01"}},
                }
            },
        },
    }
    return {**submitted, **fields}


def a_command(text: str = "ask Tidy up.", **fields: Any) -> Payload:  # noqa: ANN401
    commanded: Payload = {
        "token": "verification-token",
        "team_id": TEAM,
        "channel_id": "C1",
        "user_id": ALICE,
        "command": "/sallyport",
        "text": text,
        "response_url": "https://hooks.invalid/secret",
        "trigger_id": "1.2.trigger",
    }
    return {**commanded, **fields}


def a_shortcut(text: str = "The invoice is late.", **fields: Any) -> Payload:  # noqa: ANN401
    used: Payload = {
        "type": "message_action",
        "callback_id": "ask_about_this",
        "token": "verification-token",
        "team": {"id": TEAM},
        "user": {"id": ALICE, "team_id": TEAM},
        "channel": {"id": "C1", "name": "ops"},
        "trigger_id": "1.2.trigger",
        "response_url": "https://hooks.invalid/secret",
        "message": {"type": "message", "user": "UEVE", "ts": "1700000000.000500", "text": text},
    }
    return {**used, **fields}
