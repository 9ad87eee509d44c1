"""People in Slack, end to end: ask, watch, be asked, decide, and read the answer."""

from pathlib import Path

from bots.slack import actions
from tests.databases import Urls
from tests.slack.office import office_on
from tests.slack.workspace import ALICE, BOB, GENERAL, Message

SCRIPT = """
scripts:
  - match: delete
    turns:
      - say: I look for it.
        calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - say: The old draft is no longer needed.
        calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
      - when: {tool: delete_task, outcome: succeeded}
        say: The old draft is deleted.
      - when: {tool: delete_task}
        say: I left the old draft alone.
  - match: .
    turns:
      - say: Good morning.
"""


def has_button(message: Message, action: str) -> bool:
    return any(
        element.get("action_id") == action
        for block in message.blocks
        for element in block.get("elements", ())
    )


def is_card(message: Message) -> bool:
    return has_button(message, actions.APPROVE)


async def test_somebody_asks_another_decides_and_the_answer_is_a_message_of_its_own(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path, script=SCRIPT) as office:
        asked, delivered = await office.people.mentions(
            "please delete the old draft", by=ALICE, channel=GENERAL
        )
        assert delivered.status == 200

        card = await office.shown(is_card)
        assert card.channel == office.at.im(BOB).id
        assert "Old draft" in str(card.blocks)
        await office.people.clicks(card, actions.APPROVE, by=BOB)

        answer = await office.shown(lambda one: "The old draft is deleted." in str(one.blocks))
        assert (answer.channel, answer.thread_ts) == (GENERAL, asked.ts)
        assert has_button(answer, actions.UNDO)
        await office.shown(lambda one: one.ts == card.ts and not has_button(one, actions.APPROVE))
        assert "bob@acme.test" in str(office.at.messages[card.channel, card.ts].blocks)

        await office.people.clicks(answer, actions.UNDO, by=ALICE)
        (run, *_) = await office.world.app.runs(office.company.admin, before=None, limit=5)
        assert office.slack.meter.excesses == []
        assert office.slack.worries == []
        assert run is not None
