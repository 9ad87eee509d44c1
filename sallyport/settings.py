"""Everything that can be set, read once: environment, then ``sallyport.toml``, then defaults."""

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from core.domain.chat import entra_id
from core.domain.upstream import UPSTREAM_NAME
from core.errors import Misconfigured
from core.identity.master import MasterKeys
from core.llm.prices import DEFAULT_MODEL
from core.llm.providers import PROVIDERS
from core.tools.mcp_allowed import AllowedUpstream

_PREFIX = "SALLYPORT_"
_FILE = "sallyport.toml"


def _known(providers: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for provider in providers or ():
        if provider not in PROVIDERS:
            raise Misconfigured("unknown_provider", provider=provider, known=sorted(PROVIDERS))
    return providers


def _keys(text: SecretStr | None) -> SecretStr | None:
    if text is not None:
        MasterKeys.of_text(text.get_secret_value())
    return text


def _listed(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _from_tables(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not Path(value).is_file():
        raise ValueError("there is no such file")
    return _from_file(Path(value))


def _is_this_machine(host: str | None) -> bool:
    return host in {"127.0.0.1", "localhost", "::1"}


def _web_address(url: str) -> str:
    told = urlsplit(url)
    if told.scheme != "https" and not (told.scheme == "http" and _is_this_machine(told.hostname)):
        raise ValueError("it is https, or http on this machine")
    if not told.hostname or told.username or told.query or told.fragment:
        raise ValueError("it is no address of a Web API")
    return url


def _web_api(url: str) -> str:
    return f"{_web_address(url).rstrip('/')}/"


def _web_root(url: str) -> str:
    return _web_address(url).rstrip("/")


def _guid(told: str | None) -> str | None:
    found = entra_id(told) if told is not None else None
    if told is not None and found is None:
        raise ValueError("it is an id such as 11111111-2222-3333-4444-555555555555")
    return found


class _Concern(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(_Concern):
    """Where data lives. Without a URL an embedded PostgreSQL runs in the data folder."""

    data_dir: Path = Path(".sallyport")
    database_url: SecretStr | None = None


class VaultSettings(_Concern):
    """What seals credentials: keys of 32 bytes in base64, separated by commas, the newest first."""

    master_key: Annotated[SecretStr | None, AfterValidator(_keys)] = None


class HttpSettings(_Concern):
    """Where we listen, and how others reach us."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    mcp_wait_seconds: float = Field(default=40.0, ge=0, le=240)

    @property
    def url(self) -> str:
        """The address under which others reach us."""
        return self.public_url or f"http://{self.host}:{self.port}"


class EgressSettings(_Concern):
    """Hosts (``host`` or ``host:port``) that others may name though private and without TLS."""

    allow_private_hosts: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()


class UpstreamSettings(_Concern):
    """One upstream MCP server that tenants may connect to; see ``AllowedUpstream``."""

    url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    private: bool = False
    header: str = Field(default="authorization", pattern=r"^[A-Za-z0-9-]{1,64}$")
    scheme: str = Field(default="Bearer", pattern=r"^[A-Za-z0-9-]{0,32}$")
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    folder: Path | None = None
    credential_variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    connect_seconds: float = Field(default=10.0, gt=0, le=60)
    limit_bytes: int = Field(default=1_000_000, ge=1000, le=10_000_000)
    result_bytes: int = Field(default=200_000, ge=1000, le=1_000_000)
    concurrency: int = Field(default=8, ge=1, le=64)
    waiting: int = Field(default=32, ge=0, le=1000)
    idle_seconds: float = Field(default=300.0, gt=0, le=86_400)
    check_seconds: float = Field(default=300.0, gt=0, le=86_400)
    failures: int = Field(default=5, ge=1, le=100)
    rest_seconds: float = Field(default=30.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (not self.command):
            raise ValueError("an upstream has either a url or a command")
        return self

    def as_allowed(self, name: str) -> AllowedUpstream:
        """Return what the parts work with."""
        values = self.model_dump(exclude={"folder"})
        return AllowedUpstream(
            name=name, folder=str(self.folder) if self.folder else None, **values
        )


_UpstreamName = Annotated[str, Field(pattern=f"^(?:{UPSTREAM_NAME.pattern})$")]


class UpstreamsSettings(_Concern):
    """The upstream MCP servers by name; as a variable, the path of a file with these tables."""

    upstreams: Annotated[dict[_UpstreamName, UpstreamSettings], BeforeValidator(_from_tables)] = {}

    @property
    def allowed(self) -> Mapping[str, AllowedUpstream]:
        """The servers by name, as the parts work with them."""
        return {name: one.as_allowed(name) for name, one in self.upstreams.items()}


class ModelSettings(_Concern):
    """Which language models answer, in the order in which they are asked."""

    llm: Annotated[tuple[str, ...] | None, BeforeValidator(_listed), AfterValidator(_known)] = None
    model: str = DEFAULT_MODEL
    fallback_model: str | None = None
    script: Path | None = None
    prices: dict[str, dict[str, Decimal | str]] = {}
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """The providers by name: Anthropic where there is a key, the script where there is none."""
        return self.llm or (("anthropic",) if self.anthropic_api_key else ("scripted",))


class WorkerSettings(_Concern):
    """How much one worker drives at once."""

    segments: int = Field(default=16, ge=1, le=1000)
    segments_per_tenant: int = Field(default=3, ge=1, le=1000)


class SlackSettings(_Concern):
    """The app at Slack; off where nothing is set. With an app token it needs no public URL."""

    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_api_url: Annotated[str, AfterValidator(_web_api)] = "https://slack.com/api/"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wanted = {
            "slack_client_id": self.slack_client_id,
            "slack_client_secret": self.slack_client_secret,
            "slack_signing_secret": self.slack_signing_secret or self.slack_app_token,
        }
        if any(wanted.values()):
            for key in (key for key, value in wanted.items() if not value):
                detail = "Slack needs the app's client id, client secret and signing secret"
                _missing(key, detail=detail)
        return self

    @property
    def is_on(self) -> bool:
        """Whether people may talk to the agent in Slack."""
        return self.slack_client_id is not None


class TeamsSettings(_Concern):
    """The bot at Teams; off where nothing is set.

    With a tenant id the registration is of that one Entra tenant, as all new ones are; without, of
    many. A managed identity has no password. ``teams_anonymous`` takes everybody's word for who
    they are: for a playground on this machine, and for nothing else.
    """

    teams_app_id: Annotated[str | None, AfterValidator(_guid)] = None
    teams_app_password: SecretStr | None = None
    teams_tenant_id: Annotated[str | None, AfterValidator(_guid)] = None
    teams_managed_identity: bool = False
    teams_anonymous: bool = False
    teams_sdk: Literal["botbuilder", "teams-sdk"] = "botbuilder"
    teams_login_url: Annotated[str, AfterValidator(_web_root)] = "https://login.microsoftonline.com"
    teams_openid_url: Annotated[str, AfterValidator(_web_address)] = (
        "https://login.botframework.com/v1/.well-known/openidconfiguration"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.teams_anonymous and self._has_credentials:
            detail = "it is for a playground, which has no credentials: unset those of the app"
            raise Misconfigured("invalid_setting", key=_shown("teams_anonymous"), detail=detail)
        if not self._has_credentials:
            return self
        if self.teams_app_id is None:
            _missing("teams_app_id", detail="Teams needs the app's id")
        if self.teams_managed_identity and self.teams_app_password is not None:
            detail = "a managed identity has no password: unset one of the two"
            key = _shown("teams_managed_identity")
            raise Misconfigured("invalid_setting", key=key, detail=detail)
        if self.teams_managed_identity and self.teams_tenant_id is None:
            _missing("teams_tenant_id", detail="a managed identity is of one Entra tenant")
        if not self.teams_managed_identity and self.teams_app_password is None:
            _missing("teams_app_password", detail="Teams needs the app's password")
        return self

    @property
    def _has_credentials(self) -> bool:
        told = (self.teams_app_id, self.teams_app_password, self.teams_tenant_id)
        return self.teams_managed_identity or any(one is not None for one in told)

    @property
    def is_on(self) -> bool:
        """Whether people may talk to the agent in Teams."""
        return self.teams_anonymous or self.teams_app_id is not None

    @property
    def registration(self) -> Literal["managed-identity", "single-tenant", "multi-tenant"]:
        """What kind of registration the app has at Entra."""
        if self.teams_managed_identity:
            return "managed-identity"
        return "single-tenant" if self.teams_tenant_id is not None else "multi-tenant"


class LogSettings(_Concern):
    """What is logged, on standard error."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")


class Settings(_Concern):
    """All settings, one model per concern."""

    store: StoreSettings = StoreSettings()
    vault: VaultSettings = VaultSettings()
    egress: EgressSettings = EgressSettings()
    http: HttpSettings = HttpSettings()
    models: ModelSettings = ModelSettings()
    upstreams: UpstreamsSettings = UpstreamsSettings()
    worker: WorkerSettings = WorkerSettings()
    slack: SlackSettings = SlackSettings()
    teams: TeamsSettings = TeamsSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _anonymous_stays_here(self) -> Self:
        public = self.http.public_url
        hosts = [self.http.host, *([urlsplit(public).hostname] if public else ())]
        if self.teams.teams_anonymous and not all(map(_is_this_machine, hosts)):
            detail = "anybody could speak as anybody: listen on 127.0.0.1, without a public URL"
            raise Misconfigured("invalid_setting", key=_shown("teams_anonymous"), detail=detail)
        return self


_CONCERNS: Mapping[str, type[_Concern]] = {
    "store": StoreSettings,
    "vault": VaultSettings,
    "egress": EgressSettings,
    "http": HttpSettings,
    "models": ModelSettings,
    "upstreams": UpstreamsSettings,
    "worker": WorkerSettings,
    "slack": SlackSettings,
    "teams": TeamsSettings,
    "log": LogSettings,
}
_PLACE = {field: concern for concern, model in _CONCERNS.items() for field in model.model_fields}
_UNPREFIXED = frozenset(
    {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"}
)


def load(environment: Mapping[str, str] | None = None, *, folder: Path | None = None) -> Settings:
    """Read the settings; an environment variable beats the file.

    ``environment`` and ``folder`` stand for the process's own where they are given.

    Raises:
        Misconfigured: ``unknown_setting`` or ``invalid_setting``, naming the key;
            ``missing_setting``, ``unknown_provider``, ``master_key_invalid``.
    """
    found = os.environ if environment is None else environment  # noqa: TID251 - the one place
    values = _from_file((folder or Path()) / _FILE)
    for name, value in found.items():
        if name in _UNPREFIXED and value:
            values[name.lower()] = value
        elif name.startswith(_PREFIX) and value:
            values[name.removeprefix(_PREFIX).lower()] = value
    return of_values(values)


def of_values(values: Mapping[str, Any]) -> Settings:  # Any: each value is checked here
    """Return the settings that these keys (as in the file) make.

    Raises:
        Misconfigured: ``unknown_setting`` or ``invalid_setting``, naming the key;
            ``missing_setting``, ``unknown_provider``, ``master_key_invalid``.
    """
    nested: dict[str, dict[str, object]] = {concern: {} for concern in _CONCERNS}
    for key, value in values.items():
        if key not in _PLACE:
            raise Misconfigured("unknown_setting", key=_shown(key))
        nested[_PLACE[key]][key] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        key = str([*first["loc"], ""][1])
        raise Misconfigured("invalid_setting", key=_shown(key), detail=first["msg"]) from None


def _missing(key: str, *, detail: str) -> NoReturn:
    raise Misconfigured("missing_setting", key=_shown(key), detail=detail)


def _shown(key: str) -> str:
    name = key.upper()
    return name if name in _UNPREFIXED else _PREFIX + name


def _from_file(path: Path) -> dict[str, Any]:  # Any: checked by of_values
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Misconfigured("invalid_setting", key=_FILE, detail=str(error)) from error
