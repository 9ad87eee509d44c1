"""The commands of sign-in, as an operator runs them."""

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.command_line import CommandLine, CommandLineHere
from tests.databases import Urls

_SECRET = "a-planted-client-secret"


@pytest.fixture(scope="module")
def cli(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    data_dir = Path(tmp_path_factory.mktemp("cli"))
    allowed = {**module_urls.settings, "SALLYPORT_ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
    line = CommandLineHere(data_dir, environment=allowed)
    line.json("tenant", "create", "acme")
    line.json("tenant", "create", "globex")
    line.json("principal", "create", "--tenant=acme", "--email=al@acme.test", "--role=member")
    return line


@pytest.fixture(scope="module")
def issuer() -> Generator[str]:
    """Run what tells a provider's configuration, and no more, on a thread of its own."""

    class Discovery(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{server.server_port}"
            told = {
                "issuer": here,
                **{
                    key: f"{here}/{key}"
                    for key in ("authorization_endpoint", "token_endpoint", "jwks_uri")
                },
            }
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Discovery)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def setting(issuer: str, *more: str) -> tuple[str, ...]:
    base = ("idp", "set", "--tenant=acme", f"--issuer={issuer}", "--client-id=c")
    return (*base, "--domain=Acme.test", *more)


def test_a_link_is_shown_once_and_audited_without_its_secret(cli: CommandLine) -> None:
    made = cli.json("signin", "link", "--tenant=acme", "--as=al@acme.test", "--return-to=/x?y=1")
    path = urlsplit(str(made["url"])).path
    assert path.startswith("/signin/link/")
    assert cli.run("signin", "link", "--tenant=acme", "--as=al@acme.test").out.startswith("http")
    audit = cli.run("audit", "export", "--tenant=acme").out
    assert "sign_in.link_created" in audit
    assert path.rpartition("/")[2] not in audit


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example"])
def test_a_link_leads_nowhere_else(cli: CommandLine, elsewhere: str) -> None:
    link = ("signin", "link", "--tenant=acme", "--as=al@acme.test", f"--return-to={elsewhere}")
    assert cli.json(*link, code=1)["error"]["code"] == "invalid_return_to"


def test_nobody_signs_in_who_is_not_there(cli: CommandLine) -> None:
    error = cli.json("signin", "link", "--tenant=acme", "--as=no@acme.test", code=1)["error"]
    assert error["code"] == "unknown_person"


def test_sessions_are_listed_and_ended(cli: CommandLine) -> None:
    assert cli.json("signin", "sessions", "--tenant=acme")["items"] == []
    assert "Nobody is signed in." in cli.run("signin", "sessions", "--tenant=acme").out
    ended = cli.json("signin", "revoke", "--tenant=acme", "--as=al@acme.test")
    assert ended == {"email": "al@acme.test", "ended": 0, "clients": 0}
    said = cli.run("signin", "revoke", "--tenant=acme", "--as=al@acme.test").out
    assert "Ended 0 sessions and 0 clients of al@acme.test." in said
    for unknown in (str(uuid4()), "x"):
        error = cli.json("signin", "revoke", "--tenant=acme", unknown, code=1)["error"]
        assert error["code"] == "not_found"
    for wrong in ((), ("x", "--as=al@acme.test")):
        cli.json("signin", "revoke", "--tenant=acme", *wrong, code=2)


def test_a_provider_is_set_shown_and_removed_and_its_secret_is_told_nobody(
    cli: CommandLine, issuer: str
) -> None:
    assert cli.json("idp", "show", "--tenant=globex", code=1)["error"]["code"] == (
        "no_identity_provider"
    )
    made = cli.run(
        *setting(issuer, "--tenant=globex", "--group=Approvers=approver", "--no-create", "--json"),
        given=f"{_SECRET}\n",
    )
    assert made.json["redirect_uri"].endswith("/signin/callback")
    shown = cli.json("idp", "show", "--tenant=globex")
    assert (shown["issuer"], shown["domains"], shown["has_secret"]) == (issuer, ["acme.test"], True)
    assert (shown["groups"], shown["creates_people"]) == ({"Approvers": "approver"}, False)
    assert "Approvers=approver" in cli.run("idp", "show", "--tenant=globex").out
    assert len(cli.json("vault", "list", "--tenant=globex")["items"]) == 1
    removed = cli.json("idp", "remove", "--tenant=globex")
    assert cli.json("vault", "list", "--tenant=globex")["items"] == []
    assert removed == {"issuer": issuer, "ended": 0, "clients": 0}
    assert cli.json("idp", "remove", "--tenant=globex", code=1)["error"]["code"] == (
        "no_identity_provider"
    )
    audit = cli.run("audit", "export", "--tenant=globex").out
    assert "identity_provider.set" in audit
    assert "identity_provider.removed" in audit
    assert _SECRET not in audit + made.out + made.err


def test_a_public_client_has_no_secret(cli: CommandLine, issuer: str) -> None:
    assert cli.json(*setting(issuer, "--public"))["has_secret"] is False


@pytest.mark.parametrize(
    "more",
    [
        ("--domain=acme",),
        ("--domain=a b.test",),
        ("--group=approvers",),
        ("--group=approvers=king",),
        ("--group==admin",),
        ("--group=a=admin", "--group=a=member"),
        ("--direct-audience=c",),
    ],
)
def test_a_provider_that_makes_no_sense_is_not_kept(
    cli: CommandLine, issuer: str, more: tuple[str, ...]
) -> None:
    error = cli.json(*setting(issuer, "--public", *more), code=1)["error"]
    assert error["code"] == "invalid_provider"


def test_an_empty_secret_is_none(cli: CommandLine, issuer: str) -> None:
    assert cli.json(*setting(issuer), code=1)["error"]["code"] == "invalid_provider"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://login.example", "provider_refused"),
        ("https://127.0.0.2", "provider_unavailable"),
        ("http://127.0.0.1:9", "provider_unavailable"),
    ],
)
def test_a_provider_that_cannot_be_asked_is_not_kept(
    cli: CommandLine, address: str, code: str
) -> None:
    assert cli.json(*setting(address, "--public"), code=1)["error"]["code"] == code


def test_a_person_is_disabled_listed_and_enabled(cli: CommandLine) -> None:
    who = ("--tenant=acme", "--email=eve@acme.test")
    cli.json("principal", "create", *who, "--role=member")
    cli.json("token", "create", "--tenant=acme", "--as=eve@acme.test")
    gone = cli.json("principal", "disable", *who)
    assert (gone["email"], gone["tokens"], gone["clients"]) == ("eve@acme.test", 1, 0)
    assert "0 sessions" in cli.run("principal", "disable", *who).out
    refused = cli.json("token", "create", "--tenant=acme", "--as=eve@acme.test", code=1)
    assert refused["error"]["code"] == "unknown_person"

    first = cli.json("principal", "list", "--tenant=acme", "--limit=1")
    rest = cli.json("principal", "list", "--tenant=acme", f"--cursor={first['next_cursor']}")
    assert [one["email"] for one in first["items"]] == ["al@acme.test"]
    assert rest["items"][0]["disabled_at"] == gone["disabled_at"]
    assert "eve@acme.test" in cli.run("principal", "list", "--tenant=acme").out
    assert cli.json("principal", "list", "--tenant=globex")["items"] == []

    assert cli.json("principal", "enable", *who)["disabled_at"] is None
    (token,) = cli.json("token", "list", "--tenant=acme", "--as=eve@acme.test")["items"]
    assert token["revoked_at"] is not None
    for command in ("disable", "enable"):
        missing = cli.json("principal", command, "--tenant=globex", who[1], code=1)
        assert missing["error"]["code"] == "unknown_person"
    audit = cli.run("audit", "export", "--tenant=acme").out
    assert '"principal.disabled"' in audit
    assert '"principal.enabled"' in audit


def test_an_account_is_forgotten(cli: CommandLine) -> None:
    gone = cli.json("idp", "unlink", "--tenant=acme", "--as=al@acme.test")
    assert gone == {"email": "al@acme.test", "unlinked": 0}
