"""Log entries: one shape for us and for libraries, and never a secret in them."""

import io
import json
import logging
from collections.abc import Generator
from datetime import UTC, datetime
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured
from core.telemetry.logs import configure_logs, redact

SECRETS = [
    "sp_api_" + "aB3-_" * 8 + "xyz",
    "sp_mcp_" + "Z" * 43,
    "sk-ant-api03-abc_DEF-123",
    "sk-proj-0123456789",
    "Bearer abc.def-ghi_jkl=",
    "bearer   0123",
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    "xoxb-1234-abcd",
]


CONFIGURED = [
    *("api", "approvals", "bots", "console", "core", "mcp_server", "sallyport"),
    *("dbos", "httpcore", "httpcore2", "httpx", "httpx2", "mcp", "sqlalchemy"),
    *("uvicorn", "uvicorn.access", "uvicorn.error"),
]


class Logged:
    """What was written to a stream that stands for standard error."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def logged() -> Generator[Logged]:
    loggers = [logging.getLogger(), *map(logging.getLogger, CONFIGURED)]
    before = [(each, each.handlers, each.level, each.propagate) for each in loggers]
    loud = logging.raiseExceptions
    for each in loggers[1:]:
        each.setLevel(logging.NOTSET)  # another test's worker may have quietened it
    yield Logged()
    for each, handlers, level, propagate in before:
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)
    logging.raiseExceptions = loud
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def fail(reason: str) -> None:
    raise RuntimeError(reason)


def configured(logged: Logged, *, as_json: bool = True, level: str = "info") -> None:
    configure_logs(json=as_json, level=level, stream=logged.stream)


def ours() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("core.somewhere")
    return log


def test_an_entry_is_a_line_of_json_with_time_level_event_and_context(logged: Logged) -> None:
    configured(logged)
    with structlog.contextvars.bound_contextvars(tenant_id="t1", run_id="r1", call_id="c1"):
        ours().info("approval.decided", needed=2, at=datetime(2026, 11, 20, tzinfo=UTC))
    ours().info("run.ended")
    first, second = logged.entries()
    assert datetime.fromisoformat(str(first.pop("timestamp"))).utcoffset() is not None
    assert first == {
        "level": "info",
        "event": "approval.decided",
        "tenant_id": "t1",
        "run_id": "r1",
        "call_id": "c1",
        "needed": 2,
        "at": "2026-11-20 00:00:00+00:00",
    }
    assert "tenant_id" not in second


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.access", "dbos", "anthropic", "other"])
def test_what_libraries_log_has_the_same_shape(logged: Logged, name: str) -> None:
    configured(logged)
    logging.getLogger(name).warning("started on %s", "port 1")
    (entry,) = logged.entries()
    assert (entry["event"], entry["message"]) == (f"{name}.logged", "started on port 1")
    assert entry["level"] == "warning"


def test_configuring_again_writes_each_entry_once(logged: Logged) -> None:
    configured(logged)
    configured(logged)
    ours().info("run.ended")
    logging.getLogger("dbos").info("x")
    assert len(logged.entries()) == 2


@pytest.mark.parametrize(
    "name", ["anthropic", "httpx", "httpx2", "httpcore", "mcp.server", "sqlalchemy"]
)
def test_libraries_never_write_their_requests_down(logged: Logged, name: str) -> None:
    configured(logged, level="debug")
    logging.getLogger(name).debug("Request options: {'json_data': 'the task of somebody'}")
    ours().debug("segment.driven")
    assert [entry["event"] for entry in logged.entries()] == ["segment.driven"]


def test_entries_below_the_level_are_left_out(logged: Logged) -> None:
    configured(logged, level="warning")
    ours().info("run.ended")
    logging.getLogger("uvicorn.error").info("started")
    ours().warning("policy.errored")
    assert [entry["event"] for entry in logged.entries()] == ["policy.errored"]


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Misconfigured, match="invalid_setting"):
        configure_logs(json=True, level="loud")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_the_log(logged: Logged, secret: str, *, as_json: bool) -> None:
    configured(logged, as_json=as_json)
    ours().info(
        f"seen {secret}",
        plain=secret,
        deep={"list": [("x", {secret: f"before {secret} after"})]},
        raw=f"x {secret}".encode(),
        some={secret},
        thing=ValueError(secret),
    )
    logging.getLogger("uvicorn.access").info("GET /?t=%s", secret)
    try:
        fail(secret)
    except RuntimeError:
        ours().exception("segment.failed")
        logging.getLogger("dbos").exception("failed with %s", secret)
    assert logged.text.count("RuntimeError: [redacted]") == 2
    assert secret.rsplit(maxsplit=1)[-1] not in logged.text
    assert "[redacted]" in logged.text


def test_a_password_in_a_url_is_not_shown(logged: Logged) -> None:
    configured(logged)
    ours().info("database.opened", url="postgresql://app:p4ss%20word@127.0.0.1:5432/x")
    assert logged.entries()[0]["url"] == "postgresql://[redacted]@127.0.0.1:5432/x"


@pytest.mark.parametrize("name", ["token", "Authorization", "password", "body", "arguments"])
def test_what_is_named_like_a_secret_or_a_body_is_not_shown(logged: Logged, name: str) -> None:
    configured(logged)
    ours().info("request.refused", **{name: "hunter2"}, inner={name: {"a": "hunter2"}})
    assert "hunter2" not in logged.text


def test_local_variables_never_reach_the_log(logged: Logged) -> None:
    configured(logged, as_json=False)
    written = 1234567 * 7
    try:
        fail("no")
    except RuntimeError:
        ours().exception("segment.failed")
    assert "RuntimeError: no" in logged.text
    assert str(written) not in logged.text


class Torn:
    """What cannot be told in words."""

    def __str__(self) -> str:
        raise RuntimeError


def test_an_entry_that_cannot_be_written_is_not_printed_raw(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(logged)
    ours().info("run.ended", about=Torn(), plain=SECRETS[0])
    ours().info("run.ended", about="torn \ud800")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert [entry["about"] for entry in logged.entries()] == ["torn \ud800"]


def test_words_that_only_begin_alike_are_left_alone() -> None:
    harmless = {
        "event": "task-list.read",
        "risk": "risk-free",
        "id": UUID(int=1),
        "n": [1, 2.5, True, None],
        "url": "http://127.0.0.1:8080/mcp",
    }
    cleaned = redact(None, "info", dict(harmless))
    assert cleaned == {**harmless, "id": str(UUID(int=1))}


def test_what_has_no_end_is_cut_off() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    assert "…" in str(redact(None, "info", endless))


@given(before=st.text(), secret=st.sampled_from(SECRETS), after=st.text())
def test_no_surroundings_hide_a_token_of_ours(before: str, secret: str, after: str) -> None:
    if secret.startswith("sp_"):
        assert secret not in str(redact(None, "info", {"event": before + secret + after}))
