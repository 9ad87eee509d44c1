"""Runs over REST: starting, listing, looking at, following and cancelling them."""

from starlette.responses import Response

from api.events import EventStream, last_seen, unknown_event
from api.models import (
    EventsQuery,
    GiveFeedback,
    Nothing,
    PageQuery,
    RunsPage,
    RunStarted,
    RunView,
    StartRun,
)
from api.operations import EVENT_STREAM, Asked, Operation, get, post, reply
from api.paging import cursor_of, place_of
from api.views import run_view
from core.domain.ids import RunId


async def start_run(asked: Asked, body: StartRun) -> Response:
    """Start a run; the same idempotency key starts it once."""
    run_id = await asked.app.start_run(
        asked.caller,
        task=body.task,
        agent=body.agent,
        client_key=asked.client_key(kind="run"),
    )
    return reply(RunStarted(run_id=run_id), status=202)


async def list_runs(asked: Asked, query: PageQuery) -> Response:
    """Return a page of runs, without their steps."""
    place = place_of(query.cursor)
    before = (place[0], RunId(place[1])) if place else None
    found = await asked.app.runs(asked.caller, before=before, limit=query.limit)
    full = len(found) == query.limit
    more = cursor_of(found[-1].created_at, last=found[-1].id) if full else None
    return reply(RunsPage(items=[run_view(run) for run in found], next_cursor=more))


async def show_run(asked: Asked, _query: Nothing) -> Response:
    """Return a run with its steps."""
    return reply(run_view(await asked.app.run(asked.caller, run_id=_run_id(asked))))


async def follow_run(asked: Asked, query: EventsQuery) -> Response:
    """Return what happens in a run, as it happens."""
    run_id = _run_id(asked)
    run = await asked.app.run(asked.caller, run_id=run_id)
    after = last_seen(asked.request, query)
    saw_all = await _saw_all(asked, run_id=run_id, after=after)
    if saw_all and run.status.is_final:
        # Tells an EventSource, which comes back by itself, that there is nothing to come back for.
        return Response(status_code=204)
    return EventStream(asked.front, caller=asked.caller, run_id=run_id, after=after)


async def cancel_run(asked: Asked, _body: Nothing) -> Response:
    """Cancel a run for good: at once, or at its driver's next look."""
    run_id = _run_id(asked)
    await asked.app.cancel(asked.caller, run_id=run_id)
    run = await asked.app.run(asked.caller, run_id=run_id)
    return reply(run_view(run), status=202)


async def give_feedback(asked: Asked, body: GiveFeedback) -> Response:
    """Keep what the caller thinks of what a run came to, and return the run."""
    run = await asked.app.give_feedback(
        asked.caller, run_id=_run_id(asked), good=body.good, reason=body.reason
    )
    return reply(run_view(run))


async def _saw_all(asked: Asked, *, run_id: RunId, after: int) -> bool:
    """Return whether nothing has happened yet behind event ``after``.

    Raises:
        InvalidInput: ``invalid_field``: no such event; behind it, a stream would never end.
    """
    if not after:
        return False
    happened = await asked.app.events(asked.caller, run_id=run_id, after=after - 1)
    if not happened or happened[0].seq != after:
        raise unknown_event()
    return len(happened) == 1


def _run_id(asked: Asked) -> RunId:
    return RunId(asked.id("run_id", noun="run"))


RUNS: tuple[Operation, ...] = (
    post(
        "/runs",
        start_run,
        body=StartRun,
        name="start_run",
        summary="Start a run of the agent.",
        scope="runs:start",
        answers={202: (RunStarted,)},
        refusals=(404, 429),
        headers={"Idempotency-Key": "The same key starts a run once, however often it is sent."},
    ),
    get(
        "/runs",
        list_runs,
        query=PageQuery,
        name="list_runs",
        summary="List your runs, an admin the company's, newest first.",
        scope="runs:read",
        answers={200: (RunsPage,)},
    ),
    get(
        "/runs/{run_id}",
        show_run,
        query=Nothing,
        name="show_run",
        summary="Show a run with its steps.",
        scope="runs:read",
        answers={200: (RunView,)},
        refusals=(404,),
    ),
    get(
        "/runs/{run_id}/events",
        follow_run,
        query=EventsQuery,
        name="follow_run",
        summary="Follow a run: server-sent events until it has ended.",
        scope="runs:read",
        answers={200: (), 204: ()},
        refusals=(404,),
        headers={"Last-Event-ID": "The number of the last event that you have seen."},
        media_type=EVENT_STREAM,
    ),
    post(
        "/runs/{run_id}/cancel",
        cancel_run,
        body=Nothing,
        name="cancel_run",
        summary="Cancel a run for good.",
        scope="runs:start",
        answers={202: (RunView,)},
        refusals=(404, 409),
    ),
    post(
        "/runs/{run_id}/feedback",
        give_feedback,
        body=GiveFeedback,
        name="give_feedback",
        summary="Say what you think of what a run came to; your last word counts.",
        scope="runs:start",
        answers={200: (RunView,)},
        refusals=(404,),
    ),
)
