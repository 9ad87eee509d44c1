"""What an account is told in private once it, or another of the same person's, was linked."""

from collections.abc import Sequence

from bots import actions, sentences
from bots.slack import blocks, text
from bots.slack.text import line, mention
from core.domain.account import Account, AccountLink
from core.domain.canonical import JsonObject
from core.domain.delivery import Wish


class SlackTeller:
    """Tells in a direct message, which stays, with a button that takes the link back."""

    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        """Return the note: one for each link that was ever made, so that none replaces another."""
        return [sentences.linked_wish(link, told=told, message=_note(link, told=told))]


def _note(link: AccountLink, *, told: Account) -> JsonObject:
    who = mention(link.account.user) if link.account.workspace == told.workspace else ""
    named = who or f"`{line(link.account.user, limit=200)}`"
    said, doubt = sentences.linked(link, told=told, named=named, markup=text)
    button = blocks.button(
        "Disconnect",
        action=actions.UNLINK,
        value=actions.carried(actions.of_account(link.account)),
        style="danger",
    )
    shown = [blocks.section(said), blocks.aside(doubt), blocks.buttons([button])]
    return blocks.message(said, blocks=shown)
