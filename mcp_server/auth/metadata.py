"""What clients read before anything else: what is protected, by whom, and where to go."""

from core.domain.authorization import ClientAuth
from core.domain.canonical import JsonObject
from core.identity import delegation
from core.identity.authorization import GRANTABLE_SCOPES, ORDINARY_SCOPES

RESOURCE_PATH = "/mcp"
RESOURCE_METADATA_PATH = "/.well-known/oauth-protected-resource"
SERVER_METADATA_PATH = "/.well-known/oauth-authorization-server"
AUTHORIZE_PATH = "/oauth/authorize"
CONSENT_PATH = "/oauth/consent"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address, not a token
REGISTER_PATH = "/oauth/register"
REVOKE_PATH = "/oauth/revoke"
KEYS_PATH = "/oauth/jwks.json"


def resource_of(public_url: str) -> str:
    """Return what MCP tokens are for: the audience of each, and the ``resource`` of requests."""
    return f"{public_url}{RESOURCE_PATH}"


def resource_metadata_url(public_url: str) -> str:
    """Return where the document of the resource is; challenges name it."""
    return f"{public_url}{RESOURCE_METADATA_PATH}{RESOURCE_PATH}"


def resource_metadata(public_url: str) -> JsonObject:
    """Return the document of the resource (RFC 9728 section 2).

    Its scopes are the ordinary ones: clients ask for all that stand there.
    """
    return {
        "resource": resource_of(public_url),
        "authorization_servers": [public_url],
        "scopes_supported": list(ORDINARY_SCOPES),
        "bearer_methods_supported": ["header"],
        "resource_name": "Sallyport",
    }


def server_metadata(public_url: str) -> JsonObject:
    """Return the document of the authorization server (RFC 8414 section 2)."""
    auth_methods = [method.value for method in ClientAuth]
    return {
        "issuer": public_url,
        "authorization_endpoint": f"{public_url}{AUTHORIZE_PATH}",
        "token_endpoint": f"{public_url}{TOKEN_PATH}",
        "registration_endpoint": f"{public_url}{REGISTER_PATH}",
        "revocation_endpoint": f"{public_url}{REVOKE_PATH}",
        "jwks_uri": f"{public_url}{KEYS_PATH}",
        "scopes_supported": list(GRANTABLE_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", delegation.GRANT_TYPE],
        "token_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
    }
