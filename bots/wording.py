"""What cards and messages say on every surface: the same words, in whatever markup."""

from dataclasses import dataclass
from typing import Final

from bots.views import ApprovalView, Mark, Stage
from core.domain.approval import Answer, ApprovalState, Question
from core.domain.tool import Risk

RISKS: Final = {
    Risk.SAFE: "🟢 Safe: it only reads",
    Risk.CAUTIOUS: "🟡 Cautious: it adds or changes something",
    Risk.DESTRUCTIVE: "🟠 Destructive: it removes or overwrites something",
    Risk.IRREVERSIBLE: "🔴 Irreversible: it cannot be taken back",
}
"""Each risk in words, so that nobody has to tell colours apart."""

SAID: Final = {
    Answer.APPROVE: "✅ {} approved",
    Answer.DENY: "⛔ {} denied",
    Answer.HAPPENED: "✅ {} says it happened",
    Answer.DID_NOT: "⛔ {} says it did not happen",
    Answer.RETRY: "🔁 {} had it made again",
}
"""Somebody's answer, with their name."""

AFTER: Final = {
    ApprovalState.PENDING: "",
    ApprovalState.APPROVED: "The call is made exactly as shown here, or not at all.",
    ApprovalState.DENIED: "The call is not made.",
    ApprovalState.EXPIRED: "Nobody decided in time, so the call is not made.",
    ApprovalState.WITHDRAWN: "No answer is needed any more.",
}
"""What comes of a question once it is closed."""

UNKNOWN_OUTCOME: Final = (
    "A worker died while this call was under way, so nobody here knows whether it happened. "
    "Look at the other side, then say."
)
MADE_AGAIN: Final = "If it has happened already, it may happen twice. Look at the other side first."
JUDGED_ANEW: Final = "Changed arguments are judged anew. What you see here is what is approved."
REASON_HINT: Final = "On record, and told to whoever asked. The agent reads it, too."
READ_AS_DATA: Final = "The agent reads this message as something to look at, not as an order:"
ASK_ME: Final = "Write to me in a direct message, or mention me in a channel, in your own words."
POLICY: Final = "What I do passes your company's policy, and people where it asks them."
ANSWER_BELOW: Final = "The answer is below."
GOES_ON_BELOW: Final = "… it goes on below."
NOTHING_TO_ADD: Final = "There is nothing to add."
NOT_ALL: Final = "Not all of it fits here."
KEPT: Final = "Not shown here, and kept as it is:"
WHY_NOT: Final = "What should be different?"
WHAT_TO_ASK: Final = "What do you want to know, or have done?"
WHAT_WAS_WRONG: Final = "Wrong, missing, too long, …"
READ_BY_ADMINS: Final = "Read by your company's admins."
NO_TEXT: Final = "(a message without text)"
WOULD_DO: Final = "This is what it would do"
ON_ITS_PAGE: Final = "Edit it on its page instead."
SENT_AS_IS: Final = "sent as it is, exactly this is approved"
WHAT_RUNS: Final = "what is approved is what runs"
NO_RUNS: Final = "You have asked for nothing yet."
NO_QUESTIONS: Final = "Nothing waits for your answer."
LAST_RUNS: Final = "What you asked for last"
DID_NOT_WORK: Final = "That did not work."
ABILITIES: Final = ("✅ I do at once", "✋ I ask people first", "🚫 Not for you, or switched off")
"""Above the tools of somebody: those that pass, those that ask, and the others."""
COMMANDS: Final = {
    "runs": "what you asked for last, and what became of it",
    "approvals": "what waits for your answer",
    "tools": "what I may do for you, and what I ask people about",
    "help": "this",
}
"""What can be typed, and what it shows."""
SIGN_IN: Final = "Sign in once, so that I know who you are here. Then ask again."
SIGN_IN_ONCE: Final = "The link works once, for 15 minutes, and only for you."

SIGNS: Final = {
    Mark.DOING: "⏳",
    Mark.WAITING: "✋",
    Mark.DONE: "✅",
    Mark.FAILED: "❌",
    Mark.REFUSED: "🚫",
}
MARKS: Final = {
    Mark.DOING: "",
    Mark.WAITING: "waits for people",
    Mark.DONE: "",
    Mark.FAILED: "failed",
    Mark.REFUSED: "refused",
}
"""How a line of a run stands, in a sign and in words."""

TITLES: Final = {
    Stage.WORKING: "Working on it",
    Stage.WAITING: "Waiting for people",
    Stage.DONE: "Done",
    Stage.STOPPED: "Stopped",
}
NEXT: Final = {
    Stage.WORKING: "The answer, here.",
    Stage.WAITING: "It goes on by itself once they have answered. Until then nothing happens.",
    Stage.DONE: "Nothing more.",
    Stage.STOPPED: "Nothing more happens. Ask again, for less or in other words.",
}
"""Where a run stands, and what comes next."""

STATUSES: Final = {
    "pending": "⏳ waiting to begin",
    "running": "⏳ working",
    "awaiting_approval": "✋ waiting for people",
    "completed": "✅ done",
    "failed": "❌ failed",
    "cancelled": "⛔ stopped",
    "budget_exceeded": "⛔ out of budget",
}
"""A run's status, by its name."""

_CLOSED: Final = {
    ApprovalState.PENDING: ("⏳", "Open"),
    ApprovalState.APPROVED: ("✅", "Approved"),
    ApprovalState.DENIED: ("⛔", "Denied"),
    ApprovalState.EXPIRED: ("⌛", "Expired"),
    ApprovalState.WITHDRAWN: ("↩️", "Withdrawn"),
}
_SETTLED: Final = {
    Answer.APPROVE: ("✅", "Approved"),
    Answer.DENY: ("⛔", "Denied"),
    Answer.HAPPENED: ("✅", "It happened"),
    Answer.DID_NOT: ("⛔", "It did not happen"),
    Answer.RETRY: ("🔁", "To be made again"),
}
_NAMED: Final = 3
_COUNT: Final = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a question stands: a sign, a word or two, and whose answers made it so."""

    sign: str
    words: str
    by: tuple[str, ...] = ()


def status_of(view: ApprovalView) -> Status:
    """Return how a question stands; of those who agreed, the last three."""
    decided = view.state in {ApprovalState.APPROVED, ApprovalState.DENIED}
    if not view.voices or not decided:
        sign, words = _CLOSED[view.state]
        return Status(sign=sign, words=words)
    last = view.voices[-1]
    sign, words = _SETTLED[last.answer] if is_outcome(view) else _CLOSED[view.state]
    agreed = [voice.by for voice in view.voices if voice.answer is last.answer][-_NAMED:]
    return Status(sign=sign, words=words, by=tuple(agreed))


def after(view: ApprovalView) -> str:
    """Return what comes of a question now; nothing of one about an outcome."""
    return "" if is_outcome(view) else AFTER[view.state]


def is_outcome(view: ApprovalView) -> bool:
    """Return whether it is asked what became of a call."""
    return view.question is Question.OUTCOME


def sentence(view: ApprovalView) -> str:
    """Return what is asked for, as a headline: without a full stop."""
    return (view.summary or view.tool).rstrip().removesuffix(".")


def diff_title(view: ApprovalView) -> str:
    """Return what stands above the changes of a call."""
    if all(change.after is None for change in view.changes):
        return "What would be gone"
    if all(change.before is None for change in view.changes):
        return "What would be there"
    return "What would change"


def others(count: int) -> str:
    """Return that there are more than are shown."""
    return f"… and {count} more"


def waiting(count: int) -> str:
    """Return how many questions wait."""
    return f"{counted(count)} waiting for your answer"


def counted(number: int) -> int:
    """Return a number that a card has room for."""
    return min(number, _COUNT)


def times(count: int) -> str:
    """Return ``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{counted(count)} times")
