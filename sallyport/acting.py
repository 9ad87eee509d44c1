"""Acting as people, put together: who we are at Entra, and where their tokens are kept."""

from core.egress import Egress
from core.identity.entra import EntraExchange
from core.identity.on_behalf_of import OnBehalfOf
from core.ports import Clock
from core.store.chat_links import StoredLinks
from core.store.database import Database
from core.tools.vault import StoredVault
from sallyport.settings import TeamsSettings


def on_behalf_of(
    settings: TeamsSettings,
    database: Database,
    *,
    vault: StoredVault,
    egress: Egress,
    clock: Clock,
) -> OnBehalfOf:
    """Return the tokens of people; none can be got where we are no app with a password."""
    return OnBehalfOf(
        _exchange(settings, egress=egress, clock=clock),
        sealed=vault,
        links=StoredLinks(database),
        clock=clock,
    )


def _exchange(teams: TeamsSettings, *, egress: Egress, clock: Clock) -> EntraExchange | None:
    """Return who exchanges tokens at Entra; None where we are no app there that has a password."""
    if teams.teams_app_id is None or teams.teams_app_password is None:
        return None
    return EntraExchange(
        login_url=teams.teams_login_url,
        app_id=teams.teams_app_id,
        password=teams.teams_app_password,
        egress=egress,
        clock=clock,
    )
