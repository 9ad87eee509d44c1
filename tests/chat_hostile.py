"""Whatever a view may contain: hypothesis' strategies of runs, questions, homes and schemas."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from bots.views import (
    Ability,
    ApprovalView,
    HomeView,
    Line,
    RunSummary,
    RunView,
    Source,
    Suggestion,
    Undoable,
    Voice,
)
from core.domain.canonical import Json
from core.domain.tool import Change
from tests import chat_views as views

NASTY = (
    "<!channel>",
    "<!here|x> <@U0BOB12345> <#C0123|general>",
    "<https://evil.test|https://bank.test>",
    "@here @channel bob@here",
    "&lt;!channel&gt; &#60;!here> &#x3C;@U0BOB12345>",
    "[sign in](javascript:alert(1)) ![x](https://evil.test/?q=1) [a]: javascript:x",
    "```\n*Risk*\n🟢 Safe",
    "\ud83d \udc00 \x00 \x1b[31m",
    "\u202eevil\u202c \u2066x\u2069",
    "| ` * _ ~ > \r\n\u2028\u2029",
    "<at>Bob</at> <at id=1>x</at> &lt;at>y</at> <b>bold</b> <img src=x>",
    "{{DATE(2020-01-01T00:00:00Z)}} {{TIME(2020-01-01T00:00:00Z)}} ${x} {{{{x}}}}",
    "<" * 50,
    "{" * 50,
    "😀" * 200,
    "",
    " \n ",
)
HUGE = tuple(
    one * (100_000 // len(one)) for one in (NASTY[0], NASTY[5], "😀", "中", "&", '{"<a', " ")
)
PIECES = (
    *(
        "<",
        "!channel>",
        "[a]",
        "](",
        "]:",
        " ",
        "\n",
        "https://x.test)",
        "javascript:",
        "@",
        "here",
    ),
    *("&lt;", "`", "!", "[", "word", "\r", "😀", "\ud83d", "\ude00"),
)

texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(alphabet=st.characters(), max_size=40),
    st.lists(st.sampled_from(NASTY), min_size=2, max_size=4).map("".join),
)
VOICE = views.DENIED.voices[0]
urls = st.one_of(
    st.none(),
    texts,
    st.sampled_from(
        (
            "https://docs.acme.test/a?b=1&c=<!channel>|x>",
            "https://docs.acme.test/ü",
            "javascript:alert(1)",
            "https://user:secret@acme.test",
            "https://[",
            "http://acme.test:99999",
        )
    ),
)
whole = st.one_of(st.integers(), st.integers(min_value=0, max_value=3))
moments = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(),
    st.sampled_from((datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))),
)


def some(of: st.SearchStrategy[object], most: int = 3) -> st.SearchStrategy[tuple[object, ...]]:
    """Return a few, or very many of one."""
    few = st.lists(of, max_size=most).map(tuple)
    return st.one_of(few, few.map(lambda got: got * 120))


def _built(kind: type, **parts: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.builds(kind, **parts)


lines = _built(Line, id=texts, title=texts, detail=texts)
sources = _built(Source, title=texts, url=urls)
undoables = _built(Undoable, summary=texts)
changes = _built(Change, field=texts, before=st.none() | texts, after=st.none() | texts)
voices = _built(Voice, by=texts, at=moments, reason=texts)
runs = st.builds(
    RunView,
    task=texts,
    lines=some(lines),
    text=texts,
    needs=texts,
    problem=texts,
    cost_micros=whole,
    budget_micros=whole,
    sources=some(sources),
    undoable=some(undoables),
    url=urls,
)
approvals = st.builds(
    ApprovalView,
    tool=texts,
    requester=texts,
    summary=texts,
    target=texts,
    changes=some(changes),
    why=texts,
    reason=texts,
    approvers=texts,
    needed=whole,
    voices=some(voices),
    digest=texts,
    cost_micros=whole,
    expires_at=moments,
    url=urls,
    mention=some(texts),
    reminded=whole,
    escalated_to=texts,
    edited_by=texts,
    closed_at=st.none() | moments,
)
abilities = _built(Ability, tool=texts, what=texts, asks=texts)
homes = st.builds(
    HomeView,
    person=texts,
    company=texts,
    can=some(abilities),
    asks=some(abilities),
    cannot=some(abilities),
    runs=some(
        st.builds(RunSummary, task=texts, status=texts, cost_micros=whole, created_at=moments)
    ),
    questions=some(approvals, most=2),
    spent_micros=whole,
    suggestions=some(st.builds(Suggestion, title=texts, task=texts)),
    switches=some(abilities),
    url=urls,
)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
shapes = st.one_of(
    values,
    st.sampled_from(
        (
            {"type": "string"},
            {"type": "string", "format": "date"},
            {"type": ["integer", "null"]},
            {"anyOf": [{"type": "number"}, {"type": "null"}]},
            {"$ref": "#/$defs/x"},
            {"type": "boolean", "description": NASTY[0]},
            {"enum": ["a", 1, None, NASTY[1], "x" * 1000]},
            {"enum": list(range(200))},
        )
    ),
)

thorough = settings(
    phases=(Phase.explicit, Phase.generate),
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
