"""What an account is told in private once it, or another of the same person's, was linked."""

from collections.abc import Sequence

from bots import actions, sentences
from bots.teams import elements, text
from bots.teams.elements import aside, paragraph
from core.domain.account import Account, AccountLink
from core.domain.canonical import JsonObject
from core.domain.delivery import Wish


class TeamsTeller:
    """Tells in somebody's own chat, which stays, with a button that takes the link back."""

    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        """Return the note: one for each link that was ever made, so that none replaces another."""
        return [sentences.linked_wish(link, told=told, message=_note(link, told=told))]


def _note(link: AccountLink, *, told: Account) -> JsonObject:
    named = text.plain(link.account.user, limit=200)
    said, doubt = sentences.linked(link, told=told, named=f"“{named}”", markup=text)
    ids = actions.of_account(link.account)
    button = elements.button("Disconnect", verb=actions.UNLINK, ids=ids, style="destructive")
    body = [paragraph(said), aside(doubt)]
    return elements.message(said, card=elements.card(body=body, buttons=[button], fallback=said))
