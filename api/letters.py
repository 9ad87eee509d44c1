"""Dead letters over REST: what chat could not handle or deliver, and trying it again."""

from datetime import datetime
from uuid import UUID

from starlette.responses import Response

from api.models import Nothing, Output
from api.operations import Asked, Operation, get, post, reply

_MOST = 100


class LetterView(Output):
    """What of a chat surface could not be handled (``in``) or delivered (``out``), and why."""

    id: UUID
    way: str
    surface: str
    workspace: str
    address: str
    what: str
    error: str
    attempts: int
    at: datetime


class LettersPage(Output):
    """Dead letters, newest first; the newest hundred."""

    items: list[LetterView]
    next_cursor: str | None


class Replayed(Output):
    """A dead letter is due again."""

    id: UUID
    status: str


async def list_letters(asked: Asked, _query: Nothing) -> Response:
    """Return the company's dead letters."""
    found = await asked.app.letters.dead(asked.caller, limit=_MOST)
    items = [
        LetterView(
            id=one.id,
            way=one.way,
            surface=one.place.surface,
            workspace=one.place.workspace,
            address=one.place.address,
            what=one.what,
            error=one.error,
            attempts=one.attempts,
            at=one.at,
        )
        for one in found
    ]
    return reply(LettersPage(items=items, next_cursor=None))


async def replay(asked: Asked, _body: Nothing) -> Response:
    """Have a dead letter handled or delivered after all."""
    letter = asked.id("letter_id", noun="dead letter")
    await asked.app.letters.replay(asked.caller, letter=letter)
    return reply(Replayed(id=letter, status="due"), status=202)


LETTERS: tuple[Operation, ...] = (
    get(
        "/letters",
        list_letters,
        query=Nothing,
        name="list_letters",
        summary="List what chat could neither handle nor deliver.",
        scope="tenant:admin",
        answers={200: (LettersPage,)},
    ),
    post(
        "/letters/{letter_id}/replay",
        replay,
        body=Nothing,
        name="replay_letter",
        summary="Have a dead letter handled or delivered after all.",
        scope="tenant:admin",
        answers={202: (Replayed,)},
        refusals=(404,),
    ),
)
