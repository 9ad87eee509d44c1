"""The page on which a person says whether a client may act for them."""

from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from console.rendering import Pages
from core.domain.ids import TenantId
from core.domain.principal import Tenant
from core.domain.sign_in import SignedIn

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_MEANINGS: Final = {
    "tools:call": "Use the tools that you may use. What needs approval still asks people first.",
    "runs:start": "Start the company's agent on a task in your name.",
    "runs:read": "See your runs, and what came of them.",
    "approvals:read": "See the approvals that concern you. Only you decide them, on a page.",
    "audit:read": "Read the company's audit.",
    "tenant:admin": "Change the company's people, tools and policies.",
    "offline_access": "Stay connected until you or an admin end it.",
}


class Tenants(Protocol):
    """What companies are called."""

    async def tenant(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant as it is now."""
        ...


class ConsentPages:
    """Asks the signed-in person, in their words, before a client is given anything."""

    def __init__(self, pages: Pages, *, tenants: Tenants) -> None:
        """Take who renders, and who knows what the person's company is called."""
        self._pages = pages
        self._tenants = tenants

    async def render(
        self,
        request: Request,  # noqa: ARG002 - the caller's contract; the page needs nothing of it
        signed_in: SignedIn,
        *,
        client_name: str,
        redirect_host: str,
        scopes: tuple[str, ...],
        resource: str,
        form_token: str,
        action: str,
    ) -> Response:
        """Return the page; its form posts ``form_token`` and ``answer`` (allow, deny) to us."""
        tenant = await self._tenants.tenant(signed_in.principal.tenant_id)
        return self._pages.page(
            "consent.html",
            # The answer sends the browser on to the client, wherever it listens.
            leads_away=True,
            signed_in=signed_in,
            company=tenant.name,
            client_name=client_name,
            redirect_host=redirect_host,
            is_local=redirect_host.rpartition(":")[0] in _LOCAL or redirect_host in _LOCAL,
            scopes=[(scope, _MEANINGS.get(scope, scope)) for scope in scopes],
            resource=resource,
            form_token=form_token,
            action=action,
        )
