"""What is printed for each MCP client, beyond what the command line shows by default."""

import pytest

from sallyport.clients import WHERE, Client, over_http


def test_a_plain_address_that_is_not_this_machines_has_to_be_allowed() -> None:
    for url, is_allowed in (
        ("http://sallyport.internal:8080/mcp", True),
        ("https://sallyport.example.com/mcp", False),
        ("http://localhost:8080/mcp", False),
        ("http://[::1]:8080/mcp", False),
    ):
        assert ("--allow-http" in str(over_http(Client.CLAUDE_DESKTOP, url=url))) is is_allowed


@pytest.mark.parametrize("client", Client)
def test_each_client_is_told_where_to_paste(client: Client) -> None:
    assert WHERE[client]
