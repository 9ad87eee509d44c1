"""Usage and audit over REST."""

from starlette.responses import Response

from api.models import AuditPage, AuditQuery, AuditView, PeriodQuery, UsagePage, UsageView
from api.operations import Asked, Operation, get, reply
from api.paging import numbered_cursor_of, numbered_place_of
from core.reports import Period


async def show_usage(asked: Asked, query: PeriodQuery) -> Response:
    """Return what was used and what it cost."""
    totals = await asked.app.reports.usage(asked.caller, period=_period(query))
    items = [
        UsageView(
            kind=one.kind,
            name=one.name,
            provider=one.provider,
            count=one.count,
            input_tokens=one.input_tokens,
            output_tokens=one.output_tokens,
            cache_read_tokens=one.cache_read_tokens,
            cache_write_tokens=one.cache_write_tokens,
            cost_micros=one.cost_micros,
        )
        for one in totals
    ]
    cost = sum(one.cost_micros for one in totals)
    return reply(UsagePage(items=items, next_cursor=None, cost_micros=cost))


async def list_audit(asked: Asked, query: AuditQuery) -> Response:
    """Return a page of audit records."""
    found, more = await asked.app.reports.audit(
        asked.caller,
        before=numbered_place_of(query.cursor),
        limit=query.limit,
        period=_period(query),
    )
    items = [
        AuditView(
            id=one.id,
            at=one.at,
            action=one.action,
            actor=one.actor,
            run_id=one.run_id,
            call_id=one.call_id,
            tool=one.tool,
            content=dict(one.says()),
            digest=one.digest,
        )
        for one in found
    ]
    cursor = numbered_cursor_of(more[0], number=more[1]) if more else None
    return reply(AuditPage(items=items, next_cursor=cursor))


def _period(query: PeriodQuery) -> Period:
    return Period(since=query.since, until=query.until)


REPORTS: tuple[Operation, ...] = (
    get(
        "/usage",
        show_usage,
        query=PeriodQuery,
        name="show_usage",
        summary="Show what you, an admin the company, used and what it cost.",
        scope="runs:read",
        answers={200: (UsagePage,)},
    ),
    get(
        "/audit",
        list_audit,
        query=AuditQuery,
        name="list_audit",
        summary="List the company's audit records, newest first.",
        scope="audit:read",
        answers={200: (AuditPage,)},
    ),
)
