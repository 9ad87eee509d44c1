"""Activities as Teams sends them, each with one line, and whatever a test cares about."""

import json

# Any: Teams' JSON, and whatever a test changes of it.
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bots import actions

TENANT = "0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0001"
APP = "9f1f7a3a-6a3a-4f3b-8a55-1c2d3e4f0001"
BOT = f"28:{APP}"
SERVICE = "https://smba.trafficmanager.net/emea/"
CHANNEL = "19:general@thread.tacv2"
GROUP = "19:group@thread.v2"
ROOT = "1764150000000"
Payload = dict[str, Any]


def aad(name: str) -> str:
    """Return somebody's id in Entra."""
    return str(uuid5(NAMESPACE_URL, name))


def mri(name: str) -> str:
    """Return Teams' own id of somebody."""
    return f"29:{aad(name)[:8]}-mri"


ALICE, BOB, BETH, CAROL, EVE = (aad(one) for one in ("alice", "bob", "beth", "carol", "eve"))
_NAMES = {aad(one): one for one in ("alice", "bob", "beth", "carol", "eve", "guest")}


# Any: as above; so it is below.
def activity(
    kind: str = "message",
    *,
    by: str = ALICE,
    where: str = "personal",
    service: str = SERVICE,
    tenant: str = TENANT,
    **fields: Any,  # noqa: ANN401
) -> Payload:
    """Return an activity by somebody in their own chat, in a group, or in a channel's thread."""
    name = _NAMES.get(by, "somebody")
    return {
        "type": kind,
        "id": "1764150000001",
        "timestamp": "2026-11-26T10:00:00.123Z",
        "serviceUrl": service,
        "channelId": "msteams",
        "from": {"id": mri(name), "name": name.title(), "aadObjectId": by},
        "recipient": {"id": BOT, "name": "Sallyport"},
        "conversation": _conversation(where, by=by, tenant=tenant),
        "channelData": {"tenant": {"id": tenant.upper()}},
        **fields,
    }


def a_message(text: str = "Tidy up.", *, mention: bool = False, **fields: Any) -> Payload:  # noqa: ANN401
    """Return a message; ``mention`` has it begin with our name."""
    if not mention:
        return activity(text=text, textFormat="plain", **fields)
    ours = "<at>Sallyport</at>"
    entity = {
        "type": "mention",
        "mentioned": {"id": BOT, "name": "Sallyport"},
        "text": ours,
    }
    return activity(text=f"{ours} {text}", entities=[entity], **fields)


def a_click(
    verb: str = "approve",
    *,
    carries: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
    trigger: str = "manual",
    **fields: Any,  # noqa: ANN401
) -> Payload:
    """Return a click on a card's button, or (``automatic``) the question what it looks like."""
    data = {"ids": actions.carried(carries or {"a": "1"}), **(typed or {})}
    fields.setdefault("id", f"f:{verb}")
    fields.setdefault("replyToId", "1764150000500")
    return activity(
        "invoke",
        name="adaptiveCard/action",
        value={
            "action": {"type": "Action.Execute", "id": "", "verb": verb, "data": data},
            "trigger": trigger,
        },
        **fields,
    )


def a_question_about(
    text: str,
    *,
    author: str = EVE,
    html: bool = True,
    **fields: Any,  # noqa: ANN401
) -> Payload:
    """Return the message extension's first word: somebody wants to ask about a message."""
    return activity(
        "invoke",
        name="composeExtension/fetchTask",
        id="f:fetch",
        value={
            "commandId": "ask",
            "commandContext": "message",
            "messagePayload": {
                "id": ROOT,
                "createdDateTime": "2026-11-26T09:00:00.000Z",
                "from": {"user": {"id": author, "displayName": "Eve"}},
                "body": {"contentType": "html" if html else "text", "content": text},
            },
        },
        **fields,
    )


def a_rating(reaction: str, *, message: str, words: str = "", **fields: Any) -> Payload:  # noqa: ANN401
    """Return Teams' own thumbs below an answer."""
    told = json.dumps({"feedbackText": words})
    return activity(
        "invoke",
        name="message/submitAction",
        id="f:rating",
        replyToId=message,
        value={"actionName": "feedback", "actionValue": {"reaction": reaction, "feedback": told}},
        **fields,
    )


def an_installation(action: str = "add", **fields: Any) -> Payload:  # noqa: ANN401
    """Return that the app came into a conversation, or left it."""
    return activity("installationUpdate", action=action, **fields)


def _conversation(where: str, *, by: str, tenant: str) -> Payload:
    told: Payload = {"tenantId": tenant, "conversationType": where}
    match where:
        case "channel":
            return {**told, "isGroup": True, "id": f"{CHANNEL};messageid={ROOT}"}
        case "groupChat":
            return {**told, "isGroup": True, "id": GROUP}
        case _:
            return {**told, "id": f"a:{by}"}
