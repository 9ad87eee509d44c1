"""Linking put together: whose accounts are, and which surface tells people of it."""

from collections.abc import Mapping, Sequence
from typing import Final

from bots.linking import Linking, Teller
from core.domain.account import Account, AccountLink
from core.domain.delivery import Wish
from core.identity.browser_sessions import AuditSink
from core.ports import Clock
from core.store.chat_link_offers import StoredLinkOffers
from core.store.chat_links import StoredLinks
from core.store.database import Database


class _Slack:
    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        # It reads Slack's SDK, which would delay every command.
        from bots.slack.linked import SlackTeller  # noqa: PLC0415

        return SlackTeller().linked(link, told=told)


class _Teams:
    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        from bots.teams.linked import TeamsTeller  # noqa: PLC0415

        return TeamsTeller().linked(link, told=told)


TELLERS: Final[Mapping[str, Teller]] = {"slack": _Slack(), "teams": _Teams()}
"""Who tells an account that somebody was linked, by surface."""


def linking_on(database: Database, *, audit: AuditSink, clock: Clock) -> Linking:
    """Return who links accounts to people, on one database."""
    return Linking(
        StoredLinks(database),
        offers=StoredLinkOffers(database),
        audit=audit,
        clock=clock,
        tellers=TELLERS,
    )
