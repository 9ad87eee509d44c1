"""The page on which the signed-in person decides an approval: no link ever decides by itself."""

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.browser import Site
from console.rendering import Pages, status_of
from core.app import App
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope, Question
from core.domain.ids import ApprovalId
from core.domain.principal import Caller, Role, scopes_held
from core.domain.sign_in import SignedIn
from core.domain.tool import Preview
from core.errors import InvalidInput, NotFound, SallyportError
from core.ports import Clock
from core.words import sentence_for, sentence_of

VIA: Final = "page"

_SEE_OTHER: Final = 303
_LONGEST_REASON: Final = 2000
_ANSWERS: Final = {
    Question.PERMIT: (Answer.APPROVE, Answer.DENY),
    Question.OUTCOME: (Answer.HAPPENED, Answer.DID_NOT, Answer.RETRY),
}


class SignedInPeople(Protocol):
    """Who is at a browser, and where to send whoever is nobody yet."""

    async def who(self, request: Request) -> SignedIn | None:
        """Return who is signed in at this browser, as they stand now."""
        ...

    def start(self, return_to: str, *, tenant: str | None = None) -> str:
        """Return the path to send a browser to, so that it comes back signed in."""
        ...


class DecidingPages:
    """Shows exactly what would be done, and takes the person's answer to what they saw."""

    def __init__(
        self, *, app: App, site: Site, pages: Pages, people: SignedInPeople, clock: Clock
    ) -> None:
        """Take the core's face, and who is at the browser."""
        self._app = app
        self._site = site
        self._pages = pages
        self._people = people
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of approvals, as people are sent to them."""
        path = "/approvals/{approval_id}"
        return (
            Route(path, self._pages.showing(self._show), methods=["GET"]),
            Route(path, self._pages.showing(self._decide), methods=["POST"]),
        )

    async def _show(self, request: Request) -> Response:
        signed_in = await self._people.who(request)
        if signed_in is None:
            there = self._people.start(request.url.path)
            return RedirectResponse(there, status_code=_SEE_OTHER)
        try:
            approval = await self._approval(request, signed_in=signed_in)
        except SallyportError as error:
            return self._pages.error(error, signed_in=signed_in)
        return await self._page(approval, signed_in=signed_in)

    async def _decide(self, request: Request) -> Response:
        signed_in = await self._people.who(request)
        if signed_in is None:
            # What was chosen is not kept: the person looks again, signed in, and then decides.
            there = self._people.start(request.url.path)
            return RedirectResponse(there, status_code=_SEE_OTHER)
        approval: Approval | None = None
        try:
            fields = await self._site.form(request, secret=self._site.session_secret(request))
            approval = await self._approval(request, signed_in=signed_in)
            await self._app.decide(
                _caller(signed_in),
                approval_id=approval.id,
                answer=_choice(Answer, fields, "answer"),
                digest=fields.get("digest", ""),
                scope=_choice(GrantScope, {"scope": "once", **fields}, "scope"),
                reason=fields.get("reason", "").strip(),
            )
        except SallyportError as error:
            if approval is None:
                return self._pages.error(error, signed_in=signed_in)
            return await self._again(approval, signed_in=signed_in, error=error)
        return RedirectResponse(request.url.path, status_code=_SEE_OTHER)

    async def _again(
        self, approval: Approval, *, signed_in: SignedIn, error: SallyportError
    ) -> Response:
        """Show the question as it stands now, and why the answer was not kept."""
        try:
            now = await self._app.approval(_caller(signed_in), approval_id=approval.id)
        except SallyportError as gone:
            return self._pages.error(gone, signed_in=signed_in)
        return await self._page(now, signed_in=signed_in, error=error)

    async def _approval(self, request: Request, *, signed_in: SignedIn) -> Approval:
        try:
            approval_id = ApprovalId(UUID(str(request.path_params["approval_id"])))
        except ValueError as error:
            raise NotFound("not_found", noun="approval") from error
        return await self._app.approval(_caller(signed_in), approval_id=approval_id)

    async def _page(
        self, approval: Approval, *, signed_in: SignedIn, error: SallyportError | None = None
    ) -> Response:
        objection_told = await self._objection(approval, signed_in=signed_in)
        is_admin = Role.ADMIN in signed_in.principal.roles
        return self._pages.page(
            "approval.html",
            status=status_of(error) if error else 200,
            signed_in=signed_in,
            approval=approval,
            state=self._state(approval).value,
            preview=_preview(approval),
            is_outcome=approval.question is Question.OUTCOME,
            answers=[answer.value for answer in _ANSWERS[approval.question]],
            may_decide=objection_told is None and self._state(approval) is ApprovalState.PENDING,
            objection=objection_told,
            scopes=[scope.value for scope in GrantScope if is_admin or scope is not _FOR_ADMINS],
            longest_reason=_LONGEST_REASON,
            error={"code": error.code, "sentence": sentence_of(error)} if error else None,
        )

    def _state(self, approval: Approval) -> ApprovalState:
        """Return where the question stands: expired from its time on, whoever sweeps when."""
        is_over = approval.expires_at <= self._clock.now()
        is_open = approval.state is ApprovalState.PENDING
        return ApprovalState.EXPIRED if is_over and is_open else approval.state

    async def _objection(self, approval: Approval, *, signed_in: SignedIn) -> str | None:
        """Return why this person cannot answer, in a sentence."""
        code = await self._app.objection_to(_caller(signed_in), approval=approval)
        told = {"approvers": approval.approvers.in_words()}
        return sentence_for(code, told) if code else None


_FOR_ADMINS: Final = GrantScope.ALWAYS


def _caller(signed_in: SignedIn) -> Caller:
    person = signed_in.principal
    return Caller(principal=person, scopes=scopes_held(person), via=VIA)


def _preview(approval: Approval) -> Preview | None:
    return Preview.of_json(approval.preview) if "summary" in approval.preview else None


_Choice = TypeVar("_Choice", Answer, GrantScope)


def _choice(kind: type[_Choice], fields: Mapping[str, str], key: str) -> _Choice:
    try:
        return kind(fields.get(key, ""))
    except ValueError as error:
        allowed = ", ".join(kind)
        raise InvalidInput("invalid_field", key=key, detail=f"it is one of {allowed}") from error
