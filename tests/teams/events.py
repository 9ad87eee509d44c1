"""What Teams sends to a bot, as data: each activity with an id and a time of its own."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.teams.conversations import Conversation, Teams
from tests.teams.login import APP_ID

Json = dict[str, Any]  # Any: what Teams takes and gives

BOT: Final = f"28:{APP_ID}"
_FIRST: Final = 1_764_150_000_000


class Events:
    """Makes the activities of one Teams, whose ids count from ``first`` on."""

    def __init__(self, teams: Teams, *, service_url: str, first: int = _FIRST) -> None:
        self._teams = teams
        self._service_url = service_url
        self._ids = itertools.count(first)
        self._at = datetime(2026, 11, 26, 10, tzinfo=UTC)

    def activity(
        self,
        kind: str,
        *,
        by: str,
        at: Conversation | None = None,
        thread: str = "",
        **fields: Any,  # noqa: ANN401 - of the activity
    ) -> Json:
        """Return an activity of somebody's, in their own chat where no other is given."""
        place = at or self._teams.personal(by)
        person = self._teams.people[by]
        name = str(next(self._ids))
        self._at += timedelta(milliseconds=5)
        root = f";messageid={thread or name}" if place.kind == "channel" else ""
        return {
            "type": kind,
            "id": name,
            "timestamp": self._at.isoformat(),
            "serviceUrl": self._service_url,
            "channelId": "msteams",
            "from": {"id": person.mri, "name": person.name, "aadObjectId": person.aad},
            "recipient": {"id": BOT, "name": "Sallyport"},
            "conversation": {
                "id": f"{place.id}{root}",
                "conversationType": place.kind,
                "tenantId": person.tenant,
                "isGroup": not place.is_personal,
            },
            "channelData": {"tenant": {"id": person.tenant}},
            **fields,
        }

    def clicked(
        self,
        verb: str,
        *,
        ids: str,
        by: str,
        at: Conversation | None = None,
        message: str,
        typed: Mapping[str, str] | None = None,
        trigger: str = "manual",
        **fields: Any,  # noqa: ANN401 - of the activity
    ) -> Json:
        """Return what a button of the card in a message sends, whether or not it has one."""
        action = {"type": "Action.Execute", "verb": verb, "data": {"ids": ids, **(typed or {})}}
        return self.activity(
            "invoke",
            by=by,
            at=at,
            name="adaptiveCard/action",
            replyToId=message,
            value={"action": action, "trigger": trigger},
            **fields,
        )
