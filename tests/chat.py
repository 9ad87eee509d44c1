"""Workspaces and accounts of chat surfaces, as tests write them down."""

from collections.abc import Sequence

from sqlalchemy import insert, update

from core.domain.account import Account, AccountLink
from core.domain.delivery import Kind, Place, Wish
from core.domain.ids import TenantId
from core.domain.principal import Principal
from core.store.chat_tables import chat_workspaces
from core.store.database import Database

WORKSPACE = "T0ACME"


class PlainTeller:
    """A surface that tells an account in a sentence."""

    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        place = Place(surface=told.surface, workspace=told.workspace, address=f"@{told.user}/")
        text = f"{link.account.user} is {link.person.email}"
        key = f"linked:{told.user}"
        return [Wish(place=place, key=key, kind=Kind.PRIVATE, payload={"text": text})]


def account_of(user: str, *, workspace: str = WORKSPACE, surface: str = "slack") -> Account:
    return Account(surface=surface, workspace=workspace, user=user)


async def make_workspace(
    database: Database,
    installer: Principal,
    *,
    workspace: str = WORKSPACE,
    links_by_email: bool = False,
) -> str:
    """Have a company's app installed in a workspace."""
    async with database.for_tenant(installer.tenant_id) as connection:
        await connection.execute(
            insert(chat_workspaces).values(
                tenant_id=installer.tenant_id,
                surface="slack",
                workspace=workspace,
                name="Acme <Chat>",
                app="A0SALLYPORT",
                bot_user="U0SALLYPORT",
                scopes=[],
                sealed=b"sealed",
                state="active",
                installed_by=installer.id,
                links_by_email=links_by_email,
            )
        )
    return workspace


async def leave_workspace(database: Database, tenant_id: TenantId) -> None:
    """Uninstall the app wherever the company has it."""
    left = update(chat_workspaces).where(chat_workspaces.c.tenant_id == tenant_id)
    async with database.for_tenant(tenant_id) as connection:
        await connection.execute(left.values(state="uninstalled", sealed=None))
