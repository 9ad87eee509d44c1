"""Who is asking: the bearer token of a request, as a caller."""

from starlette.requests import Request

from core.domain.principal import Audience, Caller
from core.errors import Unauthenticated
from core.identity.tokens import Tokens


async def caller_of(request: Request, *, tokens: Tokens) -> Caller:
    """Return who sent ``request`` (RFC 6750 section 2.1).

    Raises:
        Unauthenticated: ``no_token``, or ``invalid_token`` for whatever is wrong with it.
    """
    # Two headers are nobody's honest request, and whoever stands before us may read the other.
    sent = request.headers.getlist("authorization")
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        raise Unauthenticated("no_token")
    return await tokens.authenticate(token.strip(), audience=Audience.API)
