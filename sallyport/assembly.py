"""Every part built once and handed what it needs: the only place that knows them all."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from approvals.gate import ApprovalGate
from core.acting import Acting
from core.app import App
from core.cedar import CedarPolicy
from core.domain.ids import RunId, TenantId
from core.domain.principal import Audience
from core.domain.run import AgentVersion
from core.durable.client import QueueClient
from core.durable.dispatch import SegmentWorker
from core.egress import Egress
from core.errors import LeaseLost, RunStopped
from core.governance.door import Door
from core.governance.judge import Judge
from core.governance.spending import Spending
from core.handbook import Handbook
from core.identity.access import AccessTokens
from core.identity.delegation import Delegations
from core.identity.keys import SigningKey
from core.identity.master import MasterKeys, NoMasterKey
from core.identity.signing import SigningKeys
from core.identity.tokens import Tokens
from core.letters import Letters
from core.llm.prices import PriceTable
from core.llm.provided import ProviderConfig
from core.llm.providers import model_of
from core.ports import Clock, Dispatcher, Journal, LanguageModel, Policy, Runs, ToolBox
from core.reports import Reports
from core.runs.loop import Loop
from core.runs.stops import cause_of
from core.starting import Starter
from core.store.approvals import StoredApprovals
from core.store.audit import AuditTrail
from core.store.capabilities import StoredCapabilities
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox
from core.store.chat_workspaces import StoredWorkspaces
from core.store.credentials import StoredCredentials
from core.store.database import APP_ROLE, Database
from core.store.directory import Directory
from core.store.documents import DocumentRepository
from core.store.driving import DrivenRuns
from core.store.enrolment import Enrolment
from core.store.events import StoredEvents, StoredText
from core.store.grouped import GroupedWrites
from core.store.journal import StoredJournal
from core.store.nudges import StoredNudges
from core.store.principals import StoredPeople
from core.store.runs import StoredRuns
from core.store.signing import StoredSigningKeys
from core.store.tasks import TaskRepository
from core.store.tokens import StoredTokens
from core.store.upstreams import StoredUpstreams
from core.store.usage import StoredUsage
from core.store.workers import Heartbeat
from core.tools.authoring import BoundPack
from core.tools.builtin.documents.pack import DOCUMENTS
from core.tools.builtin.tasks.pack import TASKS
from core.tools.joined import JoinedTools
from core.tools.mcp_secrets import UpstreamSecrets
from core.tools.mcp_upstream import UpstreamTools
from core.tools.registry import Registry
from core.tools.vault import StoredVault
from core.upstreams import Upstreams
from core.vault import Keyring, Resealable
from sallyport.acting import on_behalf_of
from sallyport.agent import default_agent
from sallyport.clock import SystemClock
from sallyport.deciding import DecidingParts
from sallyport.jobs import jobs_of
from sallyport.letting_in import LettingIn
from sallyport.linking import linking_on
from sallyport.settings import Settings
from sallyport.signing_in import SignInParts


class Assembly:
    """The parts of one process on one database.

    Each ``build_`` method makes one part that stands behind a port; whoever wants another part
    there, as the crash tests do, overrides that method.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        url: str,
        agent: AgentVersion | None = None,
        database: Database | None = None,
    ) -> None:
        """Take the settings and the app's way to the database; connect when first used.

        ``database`` is what is connected already, if anything is.
        """
        self.settings = settings
        self.url = url
        self.executor_id = f"worker-{uuid4().hex}"
        self.clock: Clock = SystemClock()
        self.database = database or Database(url)
        self.writes = GroupedWrites(self.database)
        self.directory = Directory(self.database)
        self.people = StoredPeople(self.database)
        self.enrolment = Enrolment(self.database)
        self.events = StoredEvents(self.database)
        self.tasks = TaskRepository(self.database)
        self.documents = DocumentRepository(self.database)
        self.stored_runs = StoredRuns(self.database, clock=self.clock)
        self.driven_runs = DrivenRuns(
            self.database, writes=self.writes, driver=self.executor_id, clock=self.clock
        )
        self.nudges = StoredNudges(self.database)
        self.audit = AuditTrail(self.database)
        self.signer = SigningKey.open(settings.store.data_dir)
        self.cipher = _keyring(settings)
        self.vault = StoredVault(
            StoredCredentials(self.database), keyring=self.cipher, clock=self.clock
        )
        self.signing_keys = SigningKeys(
            StoredSigningKeys(self.database), keyring=self.cipher, clock=self.clock
        )
        self.chat_workspaces = StoredWorkspaces(
            self.database, directory=self.directory, keyring=self.cipher
        )
        self.signed_tokens = _signed_tokens(self.signing_keys, public_url=settings.http.url)
        stored_tokens = StoredTokens(self.database, directory=self.directory)
        self.prices = PriceTable(overrides=settings.models.prices)
        self.agent = agent or default_agent(model=settings.models.model)
        self.egress = Egress(allow_private=settings.egress.allow_private_hosts)
        self.stored_upstreams = StoredUpstreams(self.database)
        self.on_behalf_of = on_behalf_of(
            settings.teams, self.database, vault=self.vault, egress=self.egress, clock=self.clock
        )
        self.upstream_tools = UpstreamTools(
            settings.upstreams.allowed,
            records=self.stored_upstreams,
            secrets=UpstreamSecrets(self.vault, persons=self.on_behalf_of),
            clock=self.clock,
        )
        self.approvals = self.build_approvals()
        self.toolbox = self.build_toolbox()
        policy = self.build_policy()
        self.judge = Judge(toolbox=self.toolbox, policy=policy, clock=self.clock)
        self.handbook = Handbook(
            people=self.people, judge=self.judge, policy=policy, packs=self.packs()
        )
        self.journal = self.build_journal()
        self.linking = linking_on(self.database, audit=self.journal, clock=self.clock)
        self.letters = Letters(
            inbox=StoredInbox(self.database),
            outbox=StoredOutbox(self.database),
            journal=self.journal,
            clock=self.clock,
        )
        self.sign_in = SignInParts(
            self.database,
            directory=self.directory,
            people=self.people,
            vault=self.vault,
            audit=self.journal,
            egress=self.egress,
            offers=self.linking,
            clock=self.clock,
        )
        self.tokens = Tokens(
            stored_tokens,
            clock=self.clock,
            signed=self.signed_tokens,
            direct=self.sign_in.direct,
        )
        self.delegations = Delegations(
            self.tokens,
            records=stored_tokens,
            signed=self.signed_tokens,
            recorder=self.journal,
            clock=self.clock,
        )
        self.letting_in = LettingIn(
            self.database,
            directory=self.directory,
            keys=self.signing_keys,
            access=self.signed_tokens[Audience.MCP],
            delegations=self.delegations,
            recorder=self.journal,
            egress=self.egress,
            clock=self.clock,
            ended=self.tokens.look_again,
        )
        self.upstreams = Upstreams(
            self.upstream_tools,
            records=self.stored_upstreams,
            vault=self.vault,
            journal=self.journal,
            clock=self.clock,
        )
        self.acting = Acting(
            self.on_behalf_of,
            records=self.stored_upstreams,
            journal=self.journal,
            clock=self.clock,
        )
        self.spending = Spending(StoredCapabilities(self.database), clock=self.clock)
        self.door = Door(
            judge=self.judge,
            toolbox=self.toolbox,
            approvals=ApprovalGate(records=self.approvals, clock=self.clock),
            people=self.people,
            journal=self.journal,
            spending=self.spending,
            clock=self.clock,
        )
        self.deciding = DecidingParts(
            self.database,
            approvals=self.approvals,
            people=self.people,
            runs=self.stored_runs,
            judge=self.judge,
            directory=self.directory,
            clock=self.clock,
            renew=self.tokens.renew,
        )

    def reached_at(self, url: str) -> None:
        """Take the address that is known once a process listens: it stands in signed tokens."""
        for audience, resource in _resources(url).items():
            self.signed_tokens[audience].reached_at(url, resource=resource)

    def build_approvals(self) -> StoredApprovals:
        """Return where questions and answers are kept."""
        return StoredApprovals(self.database)

    def build_journal(self) -> Journal:
        """Return the journal."""
        return StoredJournal(self.database, writes=self.writes)

    def build_runs(self) -> Runs:
        """Return the runs as their driver sees them."""
        return self.driven_runs

    def build_policy(self) -> Policy:
        """Return the policy."""
        return CedarPolicy()

    def build_toolbox(self) -> ToolBox:
        """Return the registered tools, and the way to those of upstream servers."""
        registry = Registry(self.packs(), clock=self.clock, credentials=self.vault)
        return JoinedTools(registry, upstream=self.upstream_tools)

    def packs(self) -> Sequence[BoundPack]:
        """Return the packs, each with its store."""
        return (TASKS.bound(self.tasks), DOCUMENTS.bound(self.documents))

    def resealables(self) -> Sequence[Resealable]:
        """Return what keeps sealed rows beside the vault, for a change of the master key."""
        return (self.signing_keys, self.chat_workspaces)

    def build_model(self) -> LanguageModel:
        """Return the language model, or the chain of them, that the settings name."""
        models = self.settings.models
        script = models.script.read_text(encoding="utf-8") if models.script else None
        keys = {
            "anthropic": (models.anthropic_api_key, models.anthropic_base_url),
            "openai": (models.openai_api_key, models.openai_base_url),
        }
        chain: list[tuple[str, ProviderConfig]] = []
        for place, provider in enumerate(models.chain):
            key, base_url = keys.get(provider, (None, None))
            config = ProviderConfig(
                prices=self.prices,
                clock=self.clock,
                model=(models.fallback_model if place else None) or models.model,
                api_key=key.get_secret_value() if key else None,
                base_url=base_url,
                script=script,
            )
            chain.append((provider, config))
        return model_of(chain)

    def build_loop(self) -> Loop:
        """Return the loop that drives segments."""
        return Loop(
            runs=self.build_runs(),
            journal=self.journal,
            people=self.people,
            judge=self.judge,
            door=self.door,
            model=self.build_model(),
            text=StoredText(self.database, clock=self.clock),
            clock=self.clock,
        )

    def build_app(self, dispatcher: Dispatcher) -> App:
        """Return the core's face for front doors."""
        return App(
            door=self.door,
            judge=self.judge,
            people=self.people,
            runs=self.stored_runs,
            events=self.events,
            questions=self.deciding.questions(dispatcher),
            opinions=self.deciding.opinions,
            starter=Starter(
                runs=self.stored_runs,
                dispatcher=dispatcher,
                spending=self.spending,
                clock=self.clock,
                agent=self.agent,
            ),
            reports=Reports(usage=StoredUsage(self.database), audit=self.audit),
            handbook=self.handbook,
            letters=self.letters,
            absences=self.deciding.absences,
            clock=self.clock,
            renew=self.tokens.renew,
        )

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[App]:
        """Be a worker, and a front door beside it, until the block is left."""
        loop = self.build_loop()

        async def requeue(tenant_id: TenantId, run_id: RunId, segment: int) -> int | None:
            return await self.driven_runs.requeue(tenant_id, run_id=run_id, segment=segment)

        async def crashed(
            tenant_id: TenantId, run_id: RunId, segment: int, error: Exception
        ) -> None:
            if not isinstance(error, LeaseLost):
                cause = cause_of(RunStopped("internal_error"))
                await self.driven_runs.fail(tenant_id, run_id=run_id, segment=segment, cause=cause)

        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            worker = SegmentWorker(
                url=self.url,
                role=APP_ROLE,
                beats=Heartbeat(
                    self.url, executor_id=self.executor_id, clock=self.clock, role=APP_ROLE
                ),
                directory=self.directory,
                drive=loop.drive,
                requeue=requeue,
                on_crash=crashed,
                clock=self.clock,
                jobs=jobs_of(
                    self.database,
                    directory=self.directory,
                    signer=self.signer,
                    approvals=self.approvals,
                    events=self.events,
                    deciding=self.deciding,
                    letting_in=self.letting_in,
                    clock=self.clock,
                    dispatcher=lambda: worker,
                ),
                concurrency=self.settings.worker.segments,
                tenant_concurrency=self.settings.worker.segments_per_tenant,
            )
            await stack.enter_async_context(self.upstream_tools.open())
            await stack.enter_async_context(worker)
            yield self.build_app(worker)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[App]:
        """Be a front door only: what is due is queued for the workers there are."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            queue = await stack.enter_async_context(QueueClient(url=self.url, role=APP_ROLE))
            await stack.enter_async_context(self.upstream_tools.open())
            yield self.build_app(queue)


def _signed_tokens(keys: SigningKeys, *, public_url: str) -> Mapping[Audience, AccessTokens]:
    """Return who writes and reads signed tokens, one for each front door."""
    return {
        audience: AccessTokens(keys, issuer=public_url, resource=resource)
        for audience, resource in _resources(public_url).items()
    }


def _resources(url: str) -> Mapping[Audience, str]:
    return {Audience.MCP: f"{url}/mcp", Audience.API: f"{url}/api/v1"}


def _keyring(settings: Settings) -> Keyring:
    """Return the keys that are set, those in the data folder where the database is ours, or none.

    Without a key everything works that needs none.
    """
    given = settings.vault.master_key
    if given is not None:
        return MasterKeys.of_text(given.get_secret_value())
    if settings.store.database_url is not None:
        return NoMasterKey()
    return MasterKeys.in_folder(settings.store.data_dir)
