"""What a client carries from one round of a call to the next: sealed, and for its caller alone."""

import base64

from mcp.server.request_state import (
    InvalidRequestState,
    RequestStateBoundary,
    RequestStateSecurity,
)

from core.errors import Misconfigured
from core.vault import Cipher
from mcp_server.requests import Context, Identify

_CONTEXT = "mcp.request_state"
_SECONDS = 24 * 3600.0


def boundary(identify: Identify, *, cipher: Cipher | None) -> RequestStateBoundary:
    """Return what seals and opens that state around every call.

    It is bound to tenant and person, tool and arguments, and holds for a day. Without ``cipher``
    only this very process opens what it has sealed.
    """

    def bound_to(context: Context) -> str:
        caller = identify(context)
        return f"{caller.tenant_id}:{caller.principal.id}"

    security = (
        RequestStateSecurity.ephemeral(ttl=_SECONDS)
        if cipher is None
        else RequestStateSecurity(codec=_Sealed(cipher), ttl=_SECONDS)
    )
    security.bind_principal = bound_to
    return RequestStateBoundary(security, default_audience="sallyport")


class _Sealed:
    """The SDK's codec, by keys that all processes of ours have."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def seal(self, payload: bytes) -> str:
        """Return ``payload`` sealed, safe in a URL."""
        return base64.urlsafe_b64encode(self._cipher.seal(payload, context=_CONTEXT)).decode()

    def unseal(self, token: str) -> bytes:
        """Return what was sealed.

        Raises:
            InvalidRequestState: it was not, or not by us.
        """
        try:
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
            return self._cipher.open(sealed, context=_CONTEXT)
        except (ValueError, Misconfigured) as error:
            raise InvalidRequestState("seal") from error
