"""Settings: the environment before the file before the defaults, and no unknown key."""

import base64
from pathlib import Path

import pytest

from core.errors import Misconfigured
from core.llm.prices import DEFAULT_MODEL
from core.words import sentence_of
from sallyport.settings import Settings, load


def loaded(folder: Path, toml: str = "", /, **environment: str) -> Settings:
    (folder / "sallyport.toml").write_text(toml, encoding="utf-8")
    return load(environment, folder=folder)


def refused(folder: Path, toml: str = "", /, **environment: str) -> Misconfigured:
    with pytest.raises(Misconfigured) as refusal:
        loaded(folder, toml, **environment)
    return refusal.value


def test_nothing_need_be_set(tmp_path: Path) -> None:
    settings = load({"HOME": "/root", "PATH": "/bin"}, folder=tmp_path)
    assert settings.store.data_dir == Path(".sallyport")
    assert settings.store.database_url is None
    assert settings.http.url == "http://127.0.0.1:8080"
    assert settings.models.chain == ("scripted",)
    assert settings.models.model == DEFAULT_MODEL


def test_the_process_s_own_environment_is_read_where_none_is_given(tmp_path: Path) -> None:
    assert isinstance(load(folder=tmp_path), Settings)


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    toml = 'port = 9000\nhost = "0.0.0.0"'
    settings = loaded(tmp_path, toml, SALLYPORT_PORT="9001")
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 9001)  # noqa: S104 - read only


def test_an_empty_variable_sets_nothing(tmp_path: Path) -> None:
    settings = loaded(tmp_path, SALLYPORT_PORT="", ANTHROPIC_API_KEY="", SALLYPORT_LLM="")
    assert settings.http.port == 8080
    assert settings.models.chain == ("scripted",)


def test_a_key_of_the_provider_chooses_it_and_is_never_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ANTHROPIC_API_KEY="sk-very-secret")
    assert settings.models.chain == ("anthropic",)
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


def test_the_chain_is_a_list_with_commas(tmp_path: Path) -> None:
    settings = loaded(tmp_path, SALLYPORT_LLM=" anthropic , openai,")
    assert settings.models.chain == ("anthropic", "openai")
    assert loaded(tmp_path, 'llm = ["openai"]').models.chain == ("openai",)


@pytest.mark.parametrize("chain", ["gpt", "anthropic,gpt", "Anthropic"])
def test_a_provider_that_there_is_none_of_is_refused_with_those_that_there_are(
    tmp_path: Path, chain: str
) -> None:
    error = refused(tmp_path, SALLYPORT_LLM=chain)
    assert error.code == "unknown_provider"
    assert sentence_of(error).endswith("Choose from: anthropic, openai, scripted.")
    assert chain.rpartition(",")[2] in sentence_of(error)
    assert refused(tmp_path, f'llm = ["{chain}"]').code == "unknown_provider"


def test_how_others_reach_us_is_told_apart_from_where_we_listen(tmp_path: Path) -> None:
    settings = loaded(tmp_path, SALLYPORT_PUBLIC_URL="https://agents.acme.test")
    assert settings.http.url == "https://agents.acme.test"


@pytest.mark.parametrize(
    ("variable", "key"),
    [("SALLYPORT_PROT", "SALLYPORT_PROT"), ("SALLYPORT_", "SALLYPORT_")],
)
def test_an_unknown_variable_is_named(tmp_path: Path, variable: str, key: str) -> None:
    error = refused(tmp_path, **{variable: "1"})
    assert (error.code, error.facts["key"]) == ("unknown_setting", key)
    assert key in sentence_of(error)


def test_an_unknown_key_of_the_file_is_named_as_the_environment_would(tmp_path: Path) -> None:
    assert refused(tmp_path, "prot = 1").facts["key"] == "SALLYPORT_PROT"
    assert refused(tmp_path, "[store]\ndata_dir = 'x'").facts["key"] == "SALLYPORT_STORE"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SALLYPORT_PORT", "http"),
        ("SALLYPORT_PORT", "70000"),
        ("SALLYPORT_PORT", "-1"),
        ("SALLYPORT_PUBLIC_URL", "agents.acme.test"),
        ("SALLYPORT_PUBLIC_URL", "https://agents.acme.test/path"),
        ("SALLYPORT_SEGMENTS", "0"),
        ("SALLYPORT_LOG_LEVEL", "loud"),
        ("SALLYPORT_PRICES", "cheap"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_is_wrong(
    tmp_path: Path, variable: str, value: str
) -> None:
    error = refused(tmp_path, **{variable: value})
    assert (error.code, error.facts["key"]) == ("invalid_setting", variable)
    assert error.facts["detail"]


def test_a_secret_of_the_wrong_kind_is_not_repeated(tmp_path: Path) -> None:
    error = refused(tmp_path, 'anthropic_api_key = ["sk-very-secret"]')
    assert error.facts["key"] == "ANTHROPIC_API_KEY"
    assert "very-secret" not in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sallyport.toml").write_bytes(content)
    with pytest.raises(Misconfigured) as refusal:
        load({}, folder=tmp_path)
    assert refusal.value.facts["key"] == "sallyport.toml"


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "sallyport.toml").mkdir()
    with pytest.raises(Misconfigured) as refusal:
        load({}, folder=tmp_path)
    assert refusal.value.code == "invalid_setting"


def test_a_master_key_is_checked_at_once_and_never_shown(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    settings = loaded(tmp_path, SALLYPORT_MASTER_KEY=f"{key}, {key}")
    assert settings.vault.master_key is not None
    assert key not in repr(settings) + settings.model_dump_json()
    refusal = refused(tmp_path, SALLYPORT_MASTER_KEY=f"{key},{key[:20]}")
    assert refusal.code == "master_key_invalid"
    assert "key 2 is not 32 bytes" in sentence_of(refusal)
    assert key[:20] not in sentence_of(refusal)


SLACK = {
    "SALLYPORT_SLACK_CLIENT_ID": "111.222",
    "SALLYPORT_SLACK_CLIENT_SECRET": "very-secret",
    "SALLYPORT_SLACK_SIGNING_SECRET": "very-secret-too",
}


def test_slack_is_off_until_it_is_set(tmp_path: Path) -> None:
    assert not loaded(tmp_path).slack.is_on
    settings = loaded(tmp_path, **SLACK)
    assert settings.slack.is_on
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


@pytest.mark.parametrize("missing", sorted(SLACK))
def test_slack_set_by_half_names_what_is_missing(tmp_path: Path, missing: str) -> None:
    half = {key: value for key, value in SLACK.items() if key != missing}
    error = refused(tmp_path, **half)
    assert (error.code, error.facts["key"]) == ("missing_setting", missing)
    assert "very-secret" not in sentence_of(error)


def test_over_socket_mode_slack_signs_nothing(tmp_path: Path) -> None:
    token = {"SALLYPORT_SLACK_APP_TOKEN": "xapp-1"}
    keys = {key: value for key, value in SLACK.items() if "SIGNING" not in key}
    assert loaded(tmp_path, **keys, **token).slack.is_on
    assert refused(tmp_path, **token).facts["key"] == "SALLYPORT_SLACK_CLIENT_ID"


@pytest.mark.parametrize(
    "url",
    [
        "http://slack.example/api/",
        "ftp://slack.example/",
        "slack.example",
        "https://",
        "https://u:p@slack.example/",
        "https://slack.example/?a=b",
    ],
)
def test_another_web_api_is_https_or_on_this_machine(tmp_path: Path, url: str) -> None:
    error = refused(tmp_path, SALLYPORT_SLACK_API_URL=url)
    assert (error.code, error.facts["key"]) == ("invalid_setting", "SALLYPORT_SLACK_API_URL")
    here = loaded(tmp_path, SALLYPORT_SLACK_API_URL="http://127.0.0.1:4010/api")
    assert here.slack.slack_api_url == "http://127.0.0.1:4010/api/"


ENTRA = "0A5F2F0E-5A08-4A52-8D0E-3A4D6F1F0001"
APP = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002"
TEAMS = {"SALLYPORT_TEAMS_APP_ID": APP, "SALLYPORT_TEAMS_APP_PASSWORD": "very-secret"}
ANONYMOUS = {"SALLYPORT_TEAMS_ANONYMOUS": "1"}
MANAGED = {"SALLYPORT_TEAMS_APP_ID": APP, "SALLYPORT_TEAMS_MANAGED_IDENTITY": "1"}


def test_teams_is_off_until_it_is_set(tmp_path: Path) -> None:
    off = loaded(tmp_path).teams
    assert not off.is_on
    assert off.teams_sdk == "botbuilder"
    settings = loaded(tmp_path, **TEAMS)
    assert settings.teams.is_on
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (TEAMS, "multi-tenant"),
        ({**TEAMS, "SALLYPORT_TEAMS_TENANT_ID": ENTRA}, "single-tenant"),
        ({**MANAGED, "SALLYPORT_TEAMS_TENANT_ID": ENTRA}, "managed-identity"),
    ],
)
def test_what_is_set_says_how_the_app_is_registered(
    tmp_path: Path, told: dict[str, str], kind: str
) -> None:
    teams = loaded(tmp_path, **told).teams
    assert teams.registration == kind
    assert teams.teams_tenant_id in {None, ENTRA.lower()}


@pytest.mark.parametrize(
    ("told", "code", "key"),
    [
        ({"SALLYPORT_TEAMS_APP_ID": APP}, "missing_setting", "APP_PASSWORD"),
        ({"SALLYPORT_TEAMS_APP_PASSWORD": "very-secret"}, "missing_setting", "APP_ID"),
        ({"SALLYPORT_TEAMS_TENANT_ID": ENTRA}, "missing_setting", "APP_ID"),
        ({"SALLYPORT_TEAMS_MANAGED_IDENTITY": "1"}, "missing_setting", "APP_ID"),
        (MANAGED, "missing_setting", "TENANT_ID"),
        ({**MANAGED, **TEAMS}, "invalid_setting", "MANAGED_IDENTITY"),
        ({**TEAMS, **ANONYMOUS}, "invalid_setting", "ANONYMOUS"),
        ({**TEAMS, "SALLYPORT_TEAMS_APP_ID": "acme"}, "invalid_setting", "APP_ID"),
        ({**TEAMS, "SALLYPORT_TEAMS_TENANT_ID": "acme"}, "invalid_setting", "TENANT_ID"),
        ({**TEAMS, "SALLYPORT_TEAMS_SDK": "another"}, "invalid_setting", "SDK"),
        ({"SALLYPORT_TEAMS_LOGIN_URL": "http://login.test"}, "invalid_setting", "LOGIN_URL"),
        ({"SALLYPORT_TEAMS_OPENID_URL": "http://login.test/o"}, "invalid_setting", "OPENID_URL"),
    ],
)
def test_teams_set_by_half_or_against_itself_names_what_is_wrong(
    tmp_path: Path, told: dict[str, str], code: str, key: str
) -> None:
    error = refused(tmp_path, **told)
    assert (error.code, error.facts["key"]) == (code, f"SALLYPORT_TEAMS_{key}")
    assert "very-secret" not in sentence_of(error)


@pytest.mark.parametrize(
    "reached",
    [
        {"SALLYPORT_HOST": "0.0.0.0"},  # noqa: S104 - what is refused
        {"SALLYPORT_HOST": "agents.acme.test"},
        {"SALLYPORT_PUBLIC_URL": "https://agents.acme.test"},
    ],
)
def test_nobody_is_taken_at_their_word_but_on_this_machine(
    tmp_path: Path, reached: dict[str, str]
) -> None:
    assert loaded(tmp_path, **ANONYMOUS).teams.is_on
    assert loaded(tmp_path, **ANONYMOUS, SALLYPORT_HOST="::1").teams.is_on
    error = refused(tmp_path, **ANONYMOUS, **reached)
    assert (error.code, error.facts["key"]) == ("invalid_setting", "SALLYPORT_TEAMS_ANONYMOUS")


def test_another_cloud_s_addresses_can_be_set(tmp_path: Path) -> None:
    teams = loaded(
        tmp_path,
        **TEAMS,
        SALLYPORT_TEAMS_LOGIN_URL="https://login.microsoftonline.us/",
        SALLYPORT_TEAMS_OPENID_URL="http://127.0.0.1:4020/openid",
    ).teams
    assert teams.teams_login_url == "https://login.microsoftonline.us"
    assert teams.teams_openid_url == "http://127.0.0.1:4020/openid"
