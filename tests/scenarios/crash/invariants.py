"""What must be true of a run that has ended, whatever died on its way."""

from collections import Counter
from collections.abc import Iterator, Sequence

import psycopg

from core.domain.ids import TenantId
from tests.scenarios.crash.diary import Note

SCRIPT = """
scripts:
  - match: (?i)tidy up (?P<tenant>\\S+)$
    turns:
      - say: I look around.
        calls:
          - tool: list_projects
          - tool: search_documents
            arguments: {query: report}
          - tool: list_projects
            arguments: {limit: 5}
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Follow up
      - say: This needs somebody's approval.
        calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
          - tool: list_projects
      - when: {tool: delete_task, outcome: succeeded}
        say: Tidied up.
"""
"""Parallel safe calls, a cautious write, a destructive one that people are asked about, an end."""

_TOOLS = Counter(
    {
        "list_projects": 3,
        "search_documents": 1,
        "list_tasks_in_project": 1,
        "create_task": 1,
        "delete_task": 1,
    }
)
_STEPS = 5
_ATTEMPTS = 3
"""A call that is cut off so often is not repeated any more without people."""


def task_of(tenant_id: TenantId) -> str:
    """Return the task of the script above for this tenant."""
    return f"Tidy up {tenant_id}"


class Ledger:
    """Reads everything about one tenant's only run, past row-level security."""

    def __init__(self, connection: psycopg.Connection, *, tenant_id: TenantId) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query over one tenant's rows finds; ``%s`` stands for the tenant."""
        with self._connection.cursor() as cursor:
            return cursor.execute(query, [self._tenant_id]).fetchall()  # pyright: ignore[reportArgumentType] - our constants

    def one(self, query: str) -> object:
        ((value,),) = self.rows(query)
        return value

    def problems(self, *, asked: Sequence[Note]) -> list[str]:
        """Return what is wrong, nothing where the run has ended well and everything once."""
        return [*self._of_run(), *self._of_events(), *self._of_calls(), *self._of_asking(asked)]

    def _of_run(self) -> Iterator[str]:
        rows = self.rows(
            "select status, dispatch, result, current_step from runs where tenant_id = %s"
        )
        if rows != [("completed", "ended", "Tidied up.", _STEPS)]:
            yield f"run: {rows}"
            for table in ("runs", "tool_calls", "approvals"):
                yield f"{table}: {self.rows(f'select to_jsonb(t) from {table} t where tenant_id = %s')}"  # noqa: S608,E501 - our tables
        spent = self.rows(
            "select (select sum(cost_micros) from runs where tenant_id = t.id), "
            "(select sum(cost_micros) from usage_events where tenant_id = t.id), "
            "(select sum(cost_micros) from steps where tenant_id = t.id) "
            "+ (select sum(cost_micros) from tool_calls where tenant_id = t.id) "
            "from tenants t where id = %s"
        )[0]
        if len(set(spent)) != 1 or not spent[0]:
            yield f"run, usage and journal disagree on the cost: {spent}"
        numbers = self.rows("select number from steps where tenant_id = %s order by number")
        metered = self.rows(
            "select step from usage_events where tenant_id = %s and kind = 'model' order by step"
        )
        if not numbers == metered == [(n,) for n in range(1, _STEPS + 1)]:
            yield f"steps {numbers}, metered {metered}"

    def _of_events(self) -> Iterator[str]:
        events = self.rows("select seq, kind from run_events where tenant_id = %s order by seq")
        if [seq for seq, _ in events] != list(range(1, len(events) + 1)):
            yield f"events have gaps: {events}"
        kinds = Counter(str(kind) for _, kind in events)
        wanted = {
            "run.started": 1,
            "step.answered": _STEPS,
            "call.succeeded": _TOOLS.total(),
            "approval.asked": self._questions(),
            "approval.decided": self._questions(),
            "run.completed": 1,
            "run.stopped": 0,
        }
        if events[-1][1] != "run.completed" or any(kinds[k] != n for k, n in wanted.items()):
            yield f"events: {kinds}"
        audited = self.rows("select action, tool from audit_records where tenant_id = %s")
        executed = Counter(str(tool) for action, tool in audited if action == "call.executed")
        if executed != _TOOLS:
            yield f"audited as executed: {executed}"
        actions = Counter(str(action) for action, _ in audited)
        wanted = {
            "run.started": 1,
            "approval.asked": self._questions(),
            "approval.decided": self._questions(),
            "run.ended": 1,
        }
        if any(actions[action] != count for action, count in wanted.items()):
            yield f"audited: {actions}"

    def _questions(self) -> int:
        return len(self.rows("select id from approvals where tenant_id = %s"))

    def _of_calls(self) -> Iterator[str]:
        calls = self.rows("select tool, state from tool_calls where tenant_id = %s")
        if Counter(str(tool) for tool, _ in calls) != _TOOLS or {s for _, s in calls} != {
            "succeeded"
        }:
            yield f"calls: {calls}"
        effects = self.rows("select tool from tool_effects where tenant_id = %s order by tool")
        if effects != [("create_task",), ("delete_task",)]:
            yield f"effects: {effects}"
        made = self.rows(
            "select title, deleted_at is null from tasks where tenant_id = %s order by title"
        )
        if made != [
            ("Call the customer", True),
            ("Follow up", True),
            ("Old draft", False),
            ("Write the report", True),
        ]:
            yield f"tasks: {made}"
        permits = self.rows(
            "select a.state, d.answer from approvals a left join decisions d "
            "on d.tenant_id = a.tenant_id and d.approval_id = a.id "
            "where a.tenant_id = %s and a.question = 'permit'"
        )
        if permits != [("approved", "approve")]:
            yield f"permits: {permits}"
        outcomes = self.rows(
            "select c.attempts from approvals a join tool_calls c "
            "on c.tenant_id = a.tenant_id and c.id = a.call_id "
            "where a.tenant_id = %s and a.question = 'outcome'"
        )
        if any(int(str(attempts)) < _ATTEMPTS for (attempts,) in outcomes):
            yield f"people were asked about an outcome after {outcomes} attempts"

    def _of_asking(self, asked: Sequence[Note]) -> Iterator[str]:
        """A stored answer is never asked for again; both clocks are this machine's."""
        stored = self.rows(
            "select number, (extract(epoch from created_at) * 1000000)::bigint "
            "from steps where tenant_id = %s"
        )
        for number, at in stored:
            times = [note.at // 1000 for note in asked if note.number == number]
            if not times or max(times) > int(str(at)):
                yield f"step {number}, stored at {at}, was asked for at {times}"


def connect(url: str) -> psycopg.Connection:
    """Open a connection that sees every tenant, as the cluster's owner."""
    return psycopg.connect(url, autocommit=True)
