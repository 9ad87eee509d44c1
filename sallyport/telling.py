"""Which surface tells people what, and how: each is imported only when it has something to tell."""

from collections.abc import Mapping, Sequence
from typing import Final

from bots.linking import Teller
from core.domain.account import Account, AccountLink
from core.domain.delivery import Wish


class _Slack:
    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        # It reads Slack's SDK, which would delay every command.
        from bots.slack.linked import SlackTeller  # noqa: PLC0415

        return SlackTeller().linked(link, told=told)


TELLERS: Final[Mapping[str, Teller]] = {"slack": _Slack()}
"""Who tells an account that somebody was linked, by surface."""
