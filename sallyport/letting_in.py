"""The authorization server put together: clients come to us, people say whether they may."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from core.domain.ids import TenantId
from core.domain.principal import Principal
from core.egress import Egress
from core.identity.access import AccessTokens
from core.identity.authorization import Authorization, Recorder
from core.identity.clients import Clients
from core.identity.delegation import Delegations
from core.identity.families import Families
from core.identity.signing import SigningKeys
from core.ports import Clock
from core.store.authorization import StoredAuthorization
from core.store.database import Database
from core.store.directory import Directory
from core.store.families import StoredFamilies
from sallyport.signing_in import FrontPages


class LettingIn:
    """Clients, their requests and their tokens, on one database."""

    def __init__(
        self,
        database: Database,
        *,
        directory: Directory,
        keys: SigningKeys,
        access: AccessTokens,
        delegations: Delegations,
        recorder: Recorder,
        egress: Egress,
        clock: Clock,
        ended: Callable[[], None],
    ) -> None:
        """Take what it all stands on; ``access`` writes the tokens of ``/mcp``.

        ``ended`` is called once anything has been revoked here.
        """
        self._keys = keys
        self._access = access
        self._delegations = delegations
        self._recorder = recorder
        self._clock = clock
        self._ended = ended
        self._directory = directory
        self._stored = StoredAuthorization(database)
        self._families = StoredFamilies(database, directory=directory)
        self._clients = Clients(self._stored, documents=egress, clock=clock)

    def routes(self, url: str, *, pages: FrontPages) -> Sequence[BaseRoute]:
        """Return the routes of the authorization server that is reached at ``url``."""
        # Only what answers HTTP reads the SDK, which takes half a second.
        from mcp_server.auth.metadata import resource_of  # noqa: PLC0415
        from mcp_server.auth.routes import authorization_routes  # noqa: PLC0415

        resource = resource_of(url)
        authorization = Authorization(
            self._stored,
            clients=self._clients,
            recorder=self._recorder,
            clock=self._clock,
            issuer=url,
            resource=resource,
        )
        families = Families(
            self._families,
            access=self._access,
            recorder=self._recorder,
            clock=self._clock,
            resource=resource,
            ended=self._ended,
        )
        return authorization_routes(
            authorization,
            clients=self._clients,
            families=families,
            delegations=self._delegations,
            keys=self._keys,
            sign_in=pages.sign_in,
            pages=pages.consent,
            clock=self._clock,
        )

    async def end_all_of(self, person: Principal) -> int:
        """End all that the person's clients hold; return how many were connected."""
        return await self._families.end_all_of(
            person.tenant_id, principal_id=person.id, at=self._clock.now()
        )

    async def end_all_by_provider(self, tenant_id: TenantId) -> int:
        """End all that clients hold whose people the tenant's provider had signed in."""
        return await self._families.end_all_by_provider(tenant_id, at=self._clock.now())

    async def forget(self) -> None:
        """Delete what has ended, of strangers and of every tenant."""
        now = self._clock.now()
        await self._stored.forget_strangers(at=now)
        after = ""
        while page := await self._directory.tenants(after=after, limit=100):
            for tenant in page:
                await self._families.forget_ended(TenantId(tenant.id), at=now)
            after = page[-1].name
