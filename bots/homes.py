"""What somebody finds at the agent's own page: their abilities, runs, questions, and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bots.telling import approval_view
from bots.views import Ability, ApprovalView, HomeView, RunSummary, Suggestion
from core.app import App
from core.domain.principal import Caller, Role
from core.domain.run import Run
from core.domain.tool import Tool
from core.domain.verdict import RequireApproval
from core.errors import NotFound
from core.governance.judgement import Offer
from core.ports import Clock

RUNS: Final = 10
QUESTIONS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Often:
    """Something that is often asked for, of those who have every tool of ``needs``."""

    suggestion: Suggestion
    needs: frozenset[str]


OFTEN: Final = (
    Often(
        suggestion=Suggestion(
            title="What is on my plate?",
            task="Which open tasks are mine, in all my projects? The late ones first.",
        ),
        needs=frozenset({"list_projects", "list_tasks_in_project"}),
    ),
    Often(
        suggestion=Suggestion(
            title="What is late?",
            task="Which tasks are past their due date, in all my projects, and whose are they?",
        ),
        needs=frozenset({"list_projects", "list_tasks_in_project"}),
    ),
    Often(
        suggestion=Suggestion(
            title="What has nobody to do it?",
            task="Which open tasks have no assignee, in all my projects? The most urgent first.",
        ),
        needs=frozenset({"list_projects", "list_tasks_in_project"}),
    ),
    Often(
        suggestion=Suggestion(
            title="What have we written down?",
            task="Which documents do we have, and what is each about, in a sentence?",
        ),
        needs=frozenset({"search_documents", "read_document"}),
    ),
)


class CompanyTools(Protocol):
    """The tools of a company."""

    async def tools(self, caller: Caller) -> Sequence[tuple[Tool, bool]]:
        """Return those that this person may know of by name, each with whether it is on."""
        ...


class Homes:
    """Puts together what somebody's page shows, from what they may see and nothing else."""

    def __init__(self, app: App, *, tools: CompanyTools, pages_url: str, clock: Clock) -> None:
        """Take the core's face; ``pages_url`` is where questions have their pages."""
        self._clock = clock
        self._app = app
        self._tools = tools
        self._pages_url = pages_url

    async def home(self, caller: Caller, *, company: str) -> HomeView:
        """Return the page of a person, as things stand now."""
        offers = await self._app.handbook.offers(caller)
        used = await self._app.reports.usage(caller)
        return HomeView(
            person=caller.principal.email,
            company=company,
            can=tuple(_ability(one) for one in offers if not _asks(one)),
            asks=tuple(_ability(one) for one in offers if _asks(one)),
            cannot=await self._cannot(caller, offers=offers),
            runs=await self.runs(caller),
            questions=await self.questions(caller),
            spent_micros=sum(total.cost_micros for total in used),
            suggestions=suggestions(offers),
            switches=await self._switches(caller),
        )

    async def runs(self, caller: Caller) -> tuple[RunSummary, ...]:
        """Return a person's last runs; an admin's are the company's."""
        page = await self._app.runs(caller, before=None, limit=RUNS)
        return tuple(_summary(one) for one in page)

    async def questions(self, caller: Caller) -> tuple[ApprovalView, ...]:
        """Return the open questions that wait for this person's answer, newest first."""
        if "approvals:decide" not in caller.scopes:
            return ()
        told: list[ApprovalView] = []
        now = self._clock.now()
        for approval in await self._app.pending_for(caller, limit=QUESTIONS):
            try:
                run = await self._app.run(caller, run_id=approval.run_id)
            except NotFound:
                continue  # it was answered in this moment
            url = f"{self._pages_url}/approvals/{approval.id}"
            told.append(approval_view(approval, run=run, url=url, may_edit=True, now=now))
        return tuple(one for one in told if one.is_open)

    async def _switches(self, caller: Caller) -> tuple[Ability, ...]:
        if Role.ADMIN not in caller.principal.roles:
            return ()
        return tuple(_of_tool(tool, on=on) for tool, on in await self._tools.tools(caller))

    async def _cannot(self, caller: Caller, *, offers: Sequence[Offer]) -> tuple[Ability, ...]:
        """Return what is switched off, or not this person's."""
        has = {one.tool.name for one in offers}
        every = await self._tools.tools(caller)
        return tuple(_of_tool(tool, on=on) for tool, on in every if tool.name not in has)


def suggestions(offers: Sequence[Offer]) -> tuple[Suggestion, ...]:
    """Return what is often asked for by people who have these tools."""
    has = {one.tool.name for one in offers}
    return tuple(one.suggestion for one in OFTEN if one.needs <= has)


def _asks(offer: Offer) -> bool:
    return isinstance(offer.verdict, RequireApproval)


def _ability(offer: Offer) -> Ability:
    verdict = offer.verdict
    asks = verdict.approvers.in_words() if isinstance(verdict, RequireApproval) else ""
    tool = offer.tool
    return Ability(tool=tool.name, what=tool.description, risk=tool.risk, asks=asks)


def _of_tool(tool: Tool, *, on: bool) -> Ability:
    return Ability(tool=tool.name, what=tool.description, risk=tool.risk, enabled=on)


def _summary(run: Run) -> RunSummary:
    return RunSummary(
        run_id=run.id,
        task=run.task,
        status=run.status.value,
        cost_micros=run.cost_micros,
        created_at=run.created_at,
    )
