"""What an account is told in private once it, or another of the same person's, was linked."""

from collections.abc import Sequence

from bots import actions
from bots.slack import blocks
from bots.slack.text import line, mention
from core.domain.account import Account, AccountLink
from core.domain.canonical import JsonObject
from core.domain.delivery import Kind, Place, Wish


class SlackTeller:
    """Tells in a direct message, which stays, with a button that takes the link back."""

    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        """Return the note: one for each link that was ever made, so that none replaces another."""
        made = int(link.linked_at.timestamp())
        return [
            Wish(
                place=Place(
                    surface=told.surface, workspace=told.workspace, address=f"@{told.user}/"
                ),
                key=f"linked:{told.user}:{link.account.workspace}:{link.account.user}:{made}",
                kind=Kind.PRIVATE,
                payload={**_note(link, told=told), "final": True},
            )
        ]


def _note(link: AccountLink, *, told: Account) -> JsonObject:
    email = line(link.person.email, limit=254)
    if link.account == told:
        said = f"This account is connected: what you ask and decide here, you do as {email}."
        doubt = "If you are somebody else, disconnect it now, and tell your admin."
    else:
        who = mention(link.account.user) if link.account.workspace == told.workspace else ""
        named = who or f"`{line(link.account.user, limit=200)}`"
        said = f"Another account was connected to you, {email}: {named}. It may do what you may do."
        doubt = "If that account is not yours, disconnect it now, and tell your admin."
    button = blocks.button(
        "Disconnect",
        action=actions.UNLINK,
        value=actions.carried(actions.of_account(link.account)),
        style="danger",
    )
    shown = [blocks.section(said), blocks.aside(doubt), blocks.buttons([button])]
    return blocks.message(said, blocks=shown)
