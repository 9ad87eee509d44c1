"""What a call to an upstream goes with: its person's token, or the company's credential."""

from typing import Final, Protocol

import structlog

from core.domain.ids import PrincipalId, TenantId
from core.domain.upstream import Connection
from core.errors import Misconfigured, ToolFailed, Unavailable
from core.tools.mcp_breaker import NotSent
from core.vault import Vault

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ASKED: Final = "provider_unavailable"
"""What it is called where the sign-in of people does not answer: nothing was sent then."""


class PersonTokens(Protocol):
    """The tokens of people at servers where tools act as the person."""

    async def token(
        self, tenant_id: TenantId, *, person: PrincipalId, upstream: str, scope: str
    ) -> str:
        """Return somebody's own token.

        Raises:
            Forbidden: ``acting_ended``, ``acting_consent_needed``, ``acting_refused``,
                ``acting_not_set_up``.
            Unavailable: ``provider_unavailable``, ``database_unavailable``.
        """
        ...


class UpstreamSecrets:
    """Finds what goes with a call, anew for each: what was replaced or has ended is so at once."""

    def __init__(self, vault: Vault, *, persons: PersonTokens) -> None:
        """Take where credentials of companies are kept, and tokens of people."""
        self._vault = vault
        self._persons = persons

    async def of(self, connected: Connection, *, person: PrincipalId | None) -> str | None:
        """Return the person's own token where tools act as the person, else the company's.

        None where there is none; and the company's where nobody is given.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``; as ``PersonTokens.token``.
            NotSent: ``credential_unreadable``, ``provider_unavailable``.
        """
        try:
            if person is not None and connected.entra_scope is not None:
                return await self._persons.token(
                    connected.tenant_id,
                    person=person,
                    upstream=connected.upstream,
                    scope=connected.entra_scope,
                )
            if connected.credential is None:
                return None
            return await self._vault.reveal(connected.tenant_id, ref=connected.credential)
        except Unavailable as error:
            if error.code != _ASKED:
                raise
            raise NotSent.of(ToolFailed(error.code, **error.facts)) from error
        except Misconfigured as error:
            _log.error(
                "credential.unreadable",
                tenant_id=str(connected.tenant_id),
                name=connected.upstream,
                code=error.code,
            )
            unreadable = ToolFailed("credential_unreadable", name=connected.upstream)
            raise NotSent.of(unreadable) from error
