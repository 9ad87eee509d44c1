"""Whatever a view contains: it renders, Slack takes it, and it mentions and links nobody."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bots.arguments import arguments_of
from bots.filled import typed_in
from bots.slack import cards, home, messages, modals, notes
from bots.slack.text import markdown, markdown_so_far
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
from core.domain.canonical import Json, JsonObject
from core.domain.tool import Change
from tests import chat_views as views
from tests.slack_limits import mentioned, problems

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
    "<" * 50,
    "😀" * 200,
    "",
    " \n ",
)
HUGE = tuple(one * (1_000_000 // len(one)) for one in (NASTY[0], NASTY[5], "😀", "&", " "))
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
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _is_sound(rendered: JsonObject) -> None:
    assert problems(rendered) == []
    assert mentioned(rendered) == []


@thorough
@given(runs)
def test_no_run_breaks_its_message(view: RunView) -> None:
    _is_sound(messages.run_message(view))
    streamed = messages.run_stream(view)
    assert mentioned(streamed) == []
    assert len(str(streamed["text"])) <= 12_000


@thorough
@given(approvals, st.booleans())
def test_no_question_breaks_its_card(view: ApprovalView, with_buttons: bool) -> None:  # noqa: FBT001 - drawn
    _is_sound(cards.approval_card(view, with_buttons=with_buttons))
    _is_sound(modals.deny_form(view))


@thorough
@given(
    approvals,
    st.dictionaries(texts, shapes, max_size=4),
    st.dictionaries(texts, values, max_size=4),
)
def test_no_schema_breaks_the_form(
    view: ApprovalView, properties: JsonObject, others: JsonObject
) -> None:
    schema: JsonObject = {"properties": properties, "required": list(properties)[:1]}
    arguments = {**others, **dict.fromkeys(properties, "x")}
    _is_sound(modals.edit_form(view, schema=schema, arguments=arguments))
    kept = typed_in({}, arguments=arguments, offered=arguments_of(schema))
    assert kept.arguments == arguments


@thorough
@given(homes)
def test_nothing_breaks_the_home_page(view: HomeView) -> None:
    _is_sound(home.home(view))
    _is_sound(notes.approvals_message(view.questions))
    _is_sound(notes.runs_message(view.runs))
    _is_sound(notes.tools_message(view))


@thorough
@given(texts, urls)
def test_nobodys_message_breaks_a_form(said: str, url: str | None) -> None:
    _is_sound(modals.ask_form(said, ids={}))
    _is_sound(notes.sign_in(url or ""))


pieces = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(max_examples=400, deadline=None)
@given(pieces, st.data())
def test_a_growing_text_is_only_ever_added_to(said: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(said)))
    begun, later, whole_text = markdown_so_far(said[:at]), markdown_so_far(said), markdown(said)
    assert later.startswith(begun)
    assert whole_text.startswith(later)


@pytest.mark.parametrize("said", HUGE, ids=lambda said: ascii(said[:9]))
def test_no_megabyte_breaks_anything(said: str) -> None:
    line = replace(views.DONE.lines[0], id=said, title=said, detail=said)
    source = Source(title=said, url=said)
    undoable = replace(views.DONE.undoable[0], summary=said)
    for known in (views.WORKING, views.WAITING, views.DONE, views.STOPPED):
        run = replace(known, task=said, text=said, needs=said, problem=said, url=said)
        many = replace(run, lines=(line,) * 12, sources=(source,) * 12, undoable=(undoable,) * 12)
        _is_sound(messages.run_message(replace(many, cost_micros=10**5000)))
        assert mentioned(messages.run_stream(many)) == []
    change, voice = (
        Change(field=said, before=said, after=said),
        replace(VOICE, by=said, reason=said),
    )
    for known in (views.OPEN, views.DENIED, views.EXPIRED, views.UNKNOWN):
        asked = replace(
            known,
            **dict.fromkeys(("tool", "requester", "summary", "target", "why", "reason"), said),
            **dict.fromkeys(("approvers", "digest", "url", "escalated_to", "edited_by"), said),
        )
        many = replace(asked, changes=(change,) * 12, voices=(voice,) * 12, mention=(said,) * 12)
        _is_sound(cards.approval_card(replace(many, needed=10**5000), with_buttons=True))
        _is_sound(notes.approvals_message((many,) * 9))
        tool = Ability(tool=said, what=said, risk=known.risk, asks=said)
        tools = (tool,) * 12
        page = replace(views.HOME, questions=(many,) * 9, can=tools, asks=tools, switches=tools)
        _is_sound(home.home(page))
    schema: JsonObject = {"properties": {said: {"type": "string", "description": said}}}
    _is_sound(modals.edit_form(views.OPEN, schema=schema, arguments={said: said}))
    _is_sound(modals.ask_form(said, ids={}))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(HUGE), st.integers(min_value=11_800, max_value=12_200))
def test_a_text_that_grows_too_long_is_still_only_added_to(said: str, at: int) -> None:
    begun = markdown_so_far(said[:at])
    assert markdown_so_far(said).startswith(begun)
    assert markdown(said).startswith(begun)
