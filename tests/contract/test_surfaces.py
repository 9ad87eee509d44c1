"""What everybody relies on from every surface's half of delivery that is pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.limits import Limits
from bots.outbox import ApiCall
from core.domain.canonical import JsonObject
from core.domain.delivery import Kind, Parcel, Place, Wish
from tests.builders import SteadyClock
from tests.nouns import NOON, TENANT
from tests.surfaces_in_memory import InMemory, SlackInMemory, TeamsInMemory

Platforms = Callable[[], InMemory]
on_every_surface = pytest.mark.parametrize("platform", [SlackInMemory, TeamsInMemory])


class Goes(Enum):
    """What becomes of a call."""

    WELL = auto()
    NOWHERE = auto()  # it never arrived, and nobody knows
    THROTTLED = auto()  # the platform surely did not take it
    LOST = auto()  # it was done, and nobody knows
    DELETED = auto()  # somebody has deleted what was there before it was made


@dataclass(slots=True)
class Delivery:
    """One message on its way to a platform: each step as the outbox takes it."""

    platform: InMemory
    parcel: Parcel
    made: list[ApiCall] = field(default_factory=list[ApiCall])
    lost: int = 0
    deleted: int = 0
    is_given_up: bool = False

    def wish(self, payload: JsonObject, *, kind: Kind) -> None:
        self.parcel = replace(
            self.parcel, wish=replace(self.parcel.wish, payload=payload, kind=kind)
        )

    def run(self, fates: Iterator[Goes], *, most: int = 60) -> None:
        """Make calls until the message is as wished, or is given up."""
        for _ in range(most):
            call = self.platform.next_call(self.parcel)
            if call is None or self.is_given_up:
                return
            self.step(call, next(fates, Goes.WELL))
        raise AssertionError([call.method for call in self.made])

    def step(self, call: ApiCall, fate: Goes) -> None:
        had = self.parcel
        self.made.append(call)
        self.parcel = replace(had, sent={**had.sent, **call.before})
        match fate:
            case Goes.NOWHERE:
                return
            case Goes.THROTTLED:
                self.parcel = had
                return
            case Goes.LOST:
                self.lost += 1
                self.platform.do(call)
                return
            case Goes.DELETED:
                self._delete()
            case Goes.WELL:
                pass
        sent = self.platform.sent_after(self.parcel, call, self.platform.do(call))
        self.is_given_up = sent is None
        self.parcel = replace(self.parcel, sent=sent or {})

    def shows(self, payload: JsonObject) -> bool:
        """Return whether what is wished stands there."""
        standing = [one.seen for one in self.platform.messages.values() if not one.is_deleted]
        main, *below = self.platform.wished(payload)
        return main in standing and (self.deleted > 0 or all(one in standing for one in below))

    def _delete(self) -> None:
        for one in self.platform.messages.values():
            if not (one.is_open or one.is_deleted):
                one.is_deleted = True
                self.deleted += 1


def begun(platform: InMemory, payload: JsonObject, *, kind: Kind, number: int = 1) -> Delivery:
    wish = Wish(
        place=Place(surface="any", workspace="W", address=platform.address(number)),
        key=f"message:{number}",
        kind=kind,
        payload=payload,
    )
    return Delivery(
        platform,
        Parcel(
            id=uuid4(),
            version=1,
            tenant_id=TENANT,
            wish=wish,
            sent={},
            attempts=0,
            wished_at=NOON,
        ),
    )


fates = st.lists(st.sampled_from(Goes), max_size=4)
words = st.text("ab ", max_size=5)
# A run's text grows mostly, and sometimes begins anew.
steps = st.lists(
    st.tuples(words, st.booleans(), st.sampled_from(["processing", "suspended"]), fates),
    min_size=1,
    max_size=6,
)


def told(platform: InMemory, story: Sequence[tuple[str, bool, str, list[Goes]]]) -> Delivery:
    """Tell a run's story, with an answer at its end that is not to be missed."""
    text = story[0][0]
    payload = platform.payload(text, status="processing")
    delivery = begun(platform, payload, kind=Kind.PROGRESS)
    for more, is_anew, status, becomes in story:
        text = more if is_anew else text + more
        delivery.wish(platform.payload(text, status=status), kind=Kind.PROGRESS)
        delivery.run(iter(becomes))
    text = "" if story[0][1] else text
    answer = platform.payload(f"{text} The end.", status="active", buttons=True)
    delivery.wish(answer, kind=Kind.FINAL)
    delivery.run(iter(story[-1][3]))
    return delivery


def is_worn_out(delivery: Delivery) -> bool:
    """Return whether a message was given up because it was deleted again and again."""
    return delivery.is_given_up and delivery.deleted > 3


@on_every_surface
@settings(deadline=None)
@given(story=steps)
def test_it_comes_to_what_was_wished_last_and_then_nothing_more_is_said(
    platform: Platforms, story: list[tuple[str, bool, str, list[Goes]]]
) -> None:
    delivery = told(platform(), story)
    if is_worn_out(delivery):
        return
    assert delivery.deleted or delivery.shows(delivery.parcel.wish.payload)
    # What was deleted unnoticed is noticed by now.
    last = delivery.platform.payload("All of it.", status="active", buttons=True)
    delivery.wish(last, kind=Kind.FINAL)
    delivery.run(iter(()))
    if is_worn_out(delivery):
        return
    assert not delivery.is_given_up
    assert delivery.shows(last)
    said = len(delivery.made)
    delivery.wish(last, kind=Kind.FINAL)
    delivery.run(iter(()))
    assert len(delivery.made) == said


@on_every_surface
@settings(deadline=None)
@given(story=steps)
def test_nobody_reads_it_twice_unless_an_acknowledgement_was_lost_or_it_was_deleted(
    platform: Platforms, story: list[tuple[str, bool, str, list[Goes]]]
) -> None:
    delivery = told(platform(), story)
    # A stream that goes wrong is told below: in a message of its own, and the answer in another.
    most = delivery.platform.parts + 2 * delivery.lost + delivery.deleted
    assert len(delivery.platform.messages) <= most


@on_every_surface
@settings(deadline=None)
@given(texts=st.lists(words, min_size=1, max_size=4), becomes=st.lists(st.sampled_from(Goes)))
def test_a_message_is_there_twice_only_where_a_lost_one_cannot_be_looked_for(
    platform: Platforms, texts: list[str], becomes: list[Goes]
) -> None:
    there, fate = platform(), iter(becomes)
    delivery = begun(there, there.payload(texts[0]), kind=Kind.APPROVAL)
    for one in texts:
        delivery.wish(there.payload(one), kind=Kind.APPROVAL)
        delivery.run(fate)
    most = 1 + delivery.deleted + (0 if there.finds_lost else delivery.lost)
    assert len(there.messages) <= most


@on_every_surface
@settings(deadline=None)
@given(
    words=st.lists(words, min_size=1, max_size=4),
    becomes=st.lists(
        st.sampled_from([Goes.WELL, Goes.THROTTLED, Goes.NOWHERE, Goes.DELETED]), max_size=8
    ),
)
def test_a_closed_card_has_no_buttons_for_anybody(
    platform: Platforms, words: list[str], becomes: list[Goes]
) -> None:
    there, fate = platform(), iter(becomes)
    delivery = begun(there, there.payload("?", buttons=True), kind=Kind.APPROVAL)
    for one in words:
        delivery.wish(there.payload(f"? {one}", buttons=True), kind=Kind.APPROVAL)
        delivery.run(fate)
    delivery.wish(there.payload("Approved."), kind=Kind.APPROVAL)
    delivery.run(iter(()))
    standing = [one for one in there.messages.values() if not one.is_deleted]
    assert is_worn_out(delivery) or [one.seen for one in standing] == [("Approved.", False)]


@on_every_surface
@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=12),
    crowded=st.booleans(),
    rest=st.floats(0, 120),
)
def test_nothing_is_said_faster_than_the_platform_takes_it(
    platform: Platforms, texts: list[list[str]], *, crowded: bool, rest: float
) -> None:
    there, clock = platform(), SteadyClock()
    limits = Limits(there.rates, clock=clock)
    clock.move(seconds=rest)
    many = [
        begun(
            there,
            there.payload(one[0], status="processing"),
            kind=Kind.PROGRESS,
            number=0 if crowded else number,
        )
        for number, one in enumerate(texts)
    ]
    at: list[tuple[float, tuple[str, str]]] = []
    for round_ in range(max(len(one) for one in texts)):
        for delivery, one in zip(many, texts, strict=True):
            text = "".join(one[: round_ + 1])
            is_last = round_ + 1 >= len(one)
            payload = there.payload(text, status="active" if is_last else "processing")
            delivery.wish(payload, kind=Kind.FINAL if is_last else Kind.PROGRESS)
        at += all_delivered(many, limits=limits, clock=clock)
    for name, windows in there.windows.items():
        for whose in {use for _, use in at if use[0] == name}:
            moments = [moment for moment, use in at if use == whose]
            for seconds, most in windows:
                for first in moments:
                    assert sum(first <= one < first + seconds for one in moments) <= most


def all_delivered(
    many: Sequence[Delivery], *, limits: Limits, clock: SteadyClock
) -> list[tuple[float, tuple[str, str]]]:
    """Deliver them side by side as the limits let them; return what was used when."""
    used: list[tuple[float, tuple[str, str]]] = []
    for _ in range(5_000):
        waits: list[float] = []
        for delivery in many:
            call = delivery.platform.next_call(delivery.parcel)
            if call is None or delivery.is_given_up:
                continue
            wait = limits.seconds_until(*call.uses)
            if wait > 0 and call.or_else is not None:
                call = call.or_else
                wait = limits.seconds_until(*call.uses)
            waits.append(wait)
            if wait <= 0:
                limits.take(*call.uses)
                used += [(clock.monotonic(), use) for use in call.uses]
                delivery.step(call, Goes.WELL)
        if not waits:
            return used
        clock.move(seconds=min(waits) + 1e-6)
    raise AssertionError([one.made[-1].method for one in many])
