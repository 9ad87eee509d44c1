"""What a click or a form says it is: the names on buttons and forms, and the ids they carry."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final, cast

from core.domain.account import Account
from core.domain.canonical import storable
from core.domain.ids import ApprovalId, CallId, RunId

APPROVE: Final = "approve"
DENY: Final = "deny"
APPROVE_SIMILAR: Final = "approve_similar"
EDIT: Final = "edit"
DETAILS: Final = "details"
HAPPENED: Final = "happened"
DID_NOT: Final = "did_not"
RETRY: Final = "retry"
STOP: Final = "stop"
UNDO: Final = "undo"
FEEDBACK: Final = "feedback"
SWITCH_TOOL: Final = "switch_tool"
SUGGESTION: Final = "suggestion"
LINK: Final = "link"
UNLINK: Final = "unlink"
OPEN_CONSOLE: Final = "open_console"
"""The action of each button. ``DETAILS``, ``LINK`` and ``OPEN_CONSOLE`` only open an address."""

DENY_FORM: Final = "deny_form"
EDIT_FORM: Final = "edit_form"
ASK_FORM: Final = "ask_form"
FEEDBACK_FORM: Final = "feedback_form"
"""The name of each form."""

REASON: Final = "reason"
ASKED: Final = "question"
TYPED: Final = "typed"
"""The names of inputs of forms; every input of Slack's has the action ``TYPED``."""

LONGEST_REASON: Final = 2000
"""How long a reason may be."""

UP: Final = "up"
DOWN: Final = "down"

DIGEST_SHOWN: Final = 12
_VALUE: Final = 2000


def carried(ids: Mapping[str, str]) -> str:
    """Return what a button or a form carries: ids as compact JSON, in ASCII and no markup."""
    told = json.dumps(dict(ids), separators=(",", ":"), sort_keys=True)
    return told.replace("<", r"\u003c").replace("@", r"\u0040")


def ids_of(value: str | None) -> dict[str, str]:
    """Return the ids that ``value`` carries; none where we did not write it.

    What no database could look for is left out: escaped in a text, NUL passes whoever looks at it.
    """
    if not value or len(value) > _VALUE:
        return {}
    try:
        told: object = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    pairs = cast("dict[str, object]", told)
    return {key: one for key, one in pairs.items() if isinstance(one, str) and one == storable(one)}


def of_approval(approval_id: ApprovalId, *, digest: str) -> dict[str, str]:
    """Return ``a`` and ``d``: the question, and the digest as far as it was shown."""
    return {"a": str(approval_id), "d": digest[:DIGEST_SHOWN]}


def of_run(run_id: RunId) -> dict[str, str]:
    """Return ``r``."""
    return {"r": str(run_id)}


def of_call(run_id: RunId, *, call_id: CallId) -> dict[str, str]:
    """Return ``r`` and ``c``: a call, and the run it was made in."""
    return {"r": str(run_id), "c": str(call_id)}


def of_account(account: Account) -> dict[str, str]:
    """Return ``s``, ``w`` and ``u``: an account, for its person to be rid of."""
    return {"s": account.surface, "w": account.workspace, "u": account.user}


def account_of(ids: Mapping[str, str]) -> Account:
    """Return the account that ``of_account`` told of."""
    return Account(surface=ids.get("s", ""), workspace=ids.get("w", ""), user=ids.get("u", ""))


def suggestion_key(task: str) -> str:
    """Return the name of a suggestion: the same task has the same, and no other."""
    return hashlib.sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:16]
