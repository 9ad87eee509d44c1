"""What a call brings, however it was sent: JSON, a form, or a query."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tests.slack.workspace import Message, Slack, SlackError, Token, Workspace

Json = dict[str, Any]  # Any: what Slack takes and gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call, and by whom."""

    slack: Slack
    at: Workspace
    by: Token
    given: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return an argument as text, empty where it is missing."""
        value = self.given.get(name)
        return value if isinstance(value, str) else ""

    def has(self, name: str) -> bool:
        return self.given.get(name) not in (None, "")

    def flag(self, name: str) -> bool:
        return self.given.get(name) in (True, 1, "1", "true", "True")

    def number(self, name: str, *, otherwise: int) -> int:
        try:
            return int(self.given.get(name) or otherwise)
        except ValueError:
            raise SlackError("invalid_arguments") from None

    def json(self, name: str, *, error: str) -> object:
        """Return an argument that may come as JSON in text; None where it is missing."""
        value = self.given.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None

    def list(self, name: str, *, error: str) -> list[Json] | None:
        """Return an argument that is an array of objects, None where it is missing."""
        value = self.json(name, error=error)
        if value is None:
            return None
        if not isinstance(value, list):
            raise SlackError(error)
        return cast("list[Json]", value)

    def message(self, *, stamp: str = "ts") -> Message:
        """Return the message that is named.

        Raises:
            SlackError: no such channel, or no such message in it that all can see.
        """
        channel = self.text("channel")
        if channel not in self.at.channels:
            raise SlackError("channel_not_found")
        found = self.at.messages.get((channel, self.text(stamp)))
        if found is None or found.seen_by is not None:
            raise SlackError("message_not_found")
        return found

    @property
    def is_bot(self) -> bool:
        return self.by.user == self.at.bot_user
