"""Who and what is in a workspace: users, conversations, the team, groups of users, reactions."""

from collections.abc import Sequence
from typing import Any, TypeVar

from tests.slack.arguments import Asked
from tests.slack.workspace import APP, Channel, Message, SlackError

Json = dict[str, Any]  # Any: what Slack takes and gives

_MOST_AT_ONCE = 1_000

T = TypeVar("T")


def who_am_i(asked: Asked) -> Json:
    user = asked.at.users[asked.by.user]
    return {
        "url": f"https://{asked.at.name.lower()}.slack.test/",
        "team": asked.at.name,
        "team_id": asked.at.team,
        "user": user.name,
        "user_id": user.id,
        **({"bot_id": asked.at.bot} if asked.is_bot else {}),
        **({"enterprise_id": asked.at.enterprise} if asked.at.enterprise else {}),
        "is_enterprise_install": False,
    }


def revoke(asked: Asked) -> Json:
    if not asked.flag("test"):
        asked.by.refused = "token_revoked"
    return {"revoked": not asked.flag("test")}


def uninstall(asked: Asked) -> Json:
    if asked.text("client_id") == "" or asked.text("client_secret") == "":
        raise SlackError("invalid_client_id")
    asked.at.revoke("account_inactive")
    return {}


def user(asked: Asked) -> Json:
    found = asked.at.users.get(asked.text("user"))
    if found is None:
        raise SlackError("user_not_found")
    return {"user": found.told()}


def user_by_email(asked: Asked) -> Json:
    wanted = asked.text("email").lower()
    for one in asked.at.users.values():
        if one.email == wanted and not (one.is_bot or one.deleted or one.is_stranger):
            return {"user": one.told()}
    raise SlackError("users_not_found")


def users(asked: Asked) -> Json:
    page, cursor = _page(asked, list(asked.at.users.values()))
    return {"members": [one.told() for one in page], "response_metadata": cursor}


def bot(asked: Asked) -> Json:
    if asked.text("bot") != asked.at.bot:
        raise SlackError("bot_not_found")
    known = {"id": asked.at.bot, "user_id": asked.at.bot_user, "app_id": APP}
    return {"bot": known | {"name": "sallyport", "deleted": False}}


def team(asked: Asked) -> Json:
    told: Json = {"id": asked.at.team, "name": asked.at.name, "domain": asked.at.name.lower()}
    if asked.at.enterprise:
        told["enterprise_id"] = asked.at.enterprise
    return {"team": told}


def conversation(asked: Asked) -> Json:
    return {"channel": _readable(asked).told(team=asked.at.team)}


def members(asked: Asked) -> Json:
    page, cursor = _page(asked, sorted(_readable(asked).members))
    return {"members": list(page), "response_metadata": cursor}


def opened(asked: Asked) -> Json:
    named = [one for one in asked.text("users").split(",") if one]
    if not named:
        raise SlackError("users_list_not_supplied")
    if len(named) > 1:
        raise SlackError("invalid_arguments")  # nothing of ours opens group messages
    found = asked.at.users.get(named[0])
    if found is None:
        raise SlackError("user_not_found")
    if found.deleted:
        raise SlackError("user_disabled")
    if found.is_bot:
        raise SlackError("cannot_dm_bot")
    return {"channel": {"id": asked.at.im(found.id).id}}


def history(asked: Asked) -> Json:
    channel = _readable(asked)
    roots = [one for one in _seen(asked, channel) if one.thread_ts in (None, one.ts)]
    page, cursor = _page(asked, roots[::-1])
    more = bool(cursor["next_cursor"])
    return {"messages": [one.told() for one in page], "has_more": more, "response_metadata": cursor}


def replies(asked: Asked) -> Json:
    channel = _readable(asked)
    root = asked.text("ts")
    if (channel.id, root) not in asked.at.messages:
        raise SlackError("thread_not_found")
    thread = [one for one in _seen(asked, channel) if root in (one.ts, one.thread_ts)]
    page, cursor = _page(asked, thread)
    more = bool(cursor["next_cursor"])
    return {"messages": [one.told() for one in page], "has_more": more, "response_metadata": cursor}


def groups(asked: Asked) -> Json:
    known = asked.at.groups.items()
    return {"usergroups": [{"id": one, "handle": handle} for one, (handle, _) in known]}


def users_of_group(asked: Asked) -> Json:
    if asked.text("usergroup") not in asked.at.groups:
        raise SlackError("no_such_subteam")
    return {"users": asked.at.groups[asked.text("usergroup")][1]}


def react(asked: Asked) -> Json:
    found = asked.message(stamp="timestamp")
    if asked.text("name") in found.reactions:
        raise SlackError("already_reacted")
    found.reactions.add(asked.text("name"))
    return {}


def take_reaction_back(asked: Asked) -> Json:
    found = asked.message(stamp="timestamp")
    if asked.text("name") not in found.reactions:
        raise SlackError("no_reaction")
    found.reactions.remove(asked.text("name"))
    return {}


def _readable(asked: Asked) -> Channel:
    channel = asked.at.channels.get(asked.text("channel"))
    if channel is None or (channel.is_private and asked.by.user not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def _seen(asked: Asked, channel: Channel) -> list[Message]:
    oldest, latest = asked.text("oldest"), asked.text("latest")
    return [
        one
        for one in asked.at.messages.values()
        if one.channel == channel.id
        and one.seen_by is None
        and (not oldest or one.ts > oldest or (one.ts == oldest and asked.flag("inclusive")))
        and (not latest or one.ts < latest or (one.ts == latest and asked.flag("inclusive")))
    ]


def _page(asked: Asked, every: Sequence[T]) -> tuple[Sequence[T], dict[str, str]]:
    begin = asked.number("cursor", otherwise=0)
    end = begin + min(asked.number("limit", otherwise=100), _MOST_AT_ONCE)
    return every[begin:end], {"next_cursor": str(end) if end < len(every) else ""}
