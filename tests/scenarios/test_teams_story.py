"""The whole way in Teams: asked in a chat, watched, approved by another person, answered there."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bots import actions
from tests.databases import Urls
from tests.teams.conversations import ALICE, BOB
from tests.teams.office import Office, office_on
from tests.teams.people import buttons_of

pytestmark = pytest.mark.together("teams")

DECIDING = (actions.APPROVE, actions.DENY_FORM, actions.EDIT)
SCRIPT = """
scripts:
  - match: Tidy up
    turns:
      - say: I look around.
        calls: [{tool: list_projects}]
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Short-lived
      - calls:
          - tool: delete_task
            arguments: {task_id: "${{ results.create_task.task.id }}"}
      - {say: It is **tidy**.}
  - match: .
    turns: [{say: Here you are.}]
"""


@pytest.fixture(params=["botbuilder", "teams-sdk"])
async def office(
    request: pytest.FixtureRequest, urls: Urls, tmp_path: Path
) -> AsyncGenerator[Office]:
    async with office_on(urls, tmp_path, script=SCRIPT, sdk=request.param) as made:
        yield made


async def test_a_task_is_asked_watched_approved_and_answered(office: Office) -> None:
    alices, bobs = office.chat_of(ALICE), office.chat_of(BOB)
    answered = await office.people.says("Tidy up, please.", by=ALICE)
    assert (answered.status, answered.text) == (200, "")

    card = await office.shown(lambda one: one.button(actions.APPROVE) is not None, at=bobs)
    assert "Short-lived" in card.words
    waiting = await office.shown(lambda one: "Waiting for approval" in one.words, at=alices)
    assert waiting.button(actions.APPROVE) is None

    clicked = await office.people.presses(card, actions.APPROVE, by=BOB)
    assert clicked.status == 200
    assert not any(list(buttons_of(clicked.card, one)) for one in DECIDING)
    assert "Approved" in str(clicked.card)
    locked = await office.shown(lambda one: one.id == card.id and "Approved" in one.words, at=bobs)
    assert locked.button(actions.APPROVE) is None

    answer = await office.shown(lambda one: "It is **tidy**." in one.words, at=alices)
    assert answer.activity["entities"][0]["additionalType"] == ["AIGeneratedContent"]
    assert office.connector.excesses == 0
