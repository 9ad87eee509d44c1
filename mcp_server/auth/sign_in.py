"""What these endpoints want of whoever signs people in and shows them pages."""

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from core.domain.sign_in import SignedIn


class SignIn(Protocol):
    """Knows who is at a browser."""

    async def who(self, request: Request) -> SignedIn | None:
        """Return who sent ``request``, by its session cookie; None where nobody is signed in."""
        ...

    def start(self, return_to: str, *, tenant: str | None = None) -> str:
        """Return the path where people sign in; ``return_to`` is where they go on to then.

        ``return_to`` is a path of our own with a query.
        """
        ...


class ConsentPages(Protocol):
    """Asks a person whether a client may act for them."""

    async def render(
        self,
        request: Request,
        signed_in: SignedIn,
        *,
        client_name: str,
        redirect_host: str,
        scopes: tuple[str, ...],
        resource: str,
        form_token: str,
        action: str,
    ) -> Response:
        """Return a page that tells all of this, the person and their tenant, and asks.

        Names are the client's own and want escaping. The page's form is posted to ``action``, a
        path of our own, with ``form_token`` under that name, and ``answer``, which is ``allow`` or
        ``deny``. Headers against framing, storing and referring are set on it by whoever asks.
        """
        ...
