"""People in Slack, end to end: ask, watch, be asked, decide, and read the answer."""

from pathlib import Path

from bots import actions
from tests.databases import Urls
from tests.slack.office import Office, office_on
from tests.slack.workspace import ALICE, BOB, GENERAL, Message
from tests.waiting import until

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
  - match: report
    turns:
      - say: "LONG"
  - match: .
    turns:
      - say: Good morning.
""".replace("LONG", "A line of the report. " * 700)


def has_button(message: Message, action: str) -> bool:
    told = [one for block in message.blocks for one in block.get("elements", ())]
    beside = [block.get("accessory", {}) for block in message.blocks]
    return any(one.get("action_id") == action for one in (*told, *beside))


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

        bobs = office.at.im(BOB).id
        card = await office.shown(lambda one: one.channel == bobs and is_card(one))
        assert "Old draft" in str(card.blocks)
        await office.people.clicks(card, actions.APPROVE, by=BOB)

        answer = await office.shown(lambda one: "The old draft is deleted." in str(one.blocks))
        assert (answer.channel, answer.thread_ts) == (GENERAL, asked.ts)
        assert has_button(answer, actions.UNDO)
        await office.shown(lambda one: one.ts == card.ts and not has_button(one, actions.APPROVE))
        assert "bob@acme.test" in str(office.at.messages[card.channel, card.ts].blocks)

        await office.people.clicks(answer, actions.UNDO, by=ALICE)
        await until(lambda: is_there_again(office))
        assert office.slack.meter.excesses == []
        assert office.slack.worries == []


async def is_there_again(office: Office) -> bool:
    company = office.company
    view = await office.world.app.call_tool(
        company.member,
        tool="list_tasks_in_project",
        arguments={"project_id": str(company.project_id)},
    )
    return "Old draft" in str(view.record.result)


async def test_an_ordinary_question_is_streamed_and_answered_where_it_was_asked(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path, script=SCRIPT) as office:
        asked, _ = await office.people.says("hello there", by=ALICE)
        answer = await office.shown(lambda one: "Good morning." in one.text + str(one.blocks))
        assert answer.channel == asked.channel
        assert answer.thread_ts == asked.ts
        await office.shown(lambda one: not one.streams)


async def test_who_is_nobody_here_is_offered_to_sign_in_and_nothing_else(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path, script=SCRIPT) as office:
        office.at.add("U0NEW", name="new")
        office.at.channels[GENERAL].members.add("U0NEW")
        await office.people.mentions("delete everything", by="U0NEW", channel=GENERAL)
        note = await office.shown(lambda one: one.seen_by == "U0NEW" or one.channel == "D0NEW")
        assert f"{office.url}/link/" in str(note.blocks)
        assert await office.world.app.runs(office.company.admin, before=None, limit=5) == ()


async def test_an_answer_that_no_message_holds_is_attached_as_a_whole(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path, script=SCRIPT) as office:
        asked, _ = await office.people.mentions("the report, please", by=ALICE, channel=GENERAL)
        attached = await office.shown(lambda one: bool(one.files))
        assert (attached.channel, attached.thread_ts) == (GENERAL, asked.ts)
        (file,) = attached.files
        content = office.at.uploads[file]
        assert content is not None
        assert content.decode().startswith("A line of the report. A line")
        assert len(content) > 15_000
