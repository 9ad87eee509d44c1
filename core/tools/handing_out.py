"""What one call is handed of the vault, and that nothing of it is found in what comes back."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from core.domain.eraser import LOG_KEY, Eraser
from core.domain.ids import PrincipalId, TenantId
from core.domain.tool import Failed, Preview, ToolCall
from core.errors import Fact, Forbidden, Misconfigured, NotFound, SallyportError, ToolFailed

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

E = TypeVar("E", bound=SallyportError)


class CredentialSource(Protocol):
    """Where a call's credentials come from."""

    async def reveal_to(self, tenant_id: TenantId, *, name: str, person: PrincipalId) -> str:
        """Return the person's own secret of that name, else the company's.

        Raises:
            NotFound: ``credential_missing``.
            Forbidden: ``credential_expired``.
            Misconfigured: it cannot be opened.
        """
        ...


class NoCredentials:
    """The source where there is no vault."""

    async def reveal_to(self, tenant_id: TenantId, *, name: str, person: PrincipalId) -> str:
        """Have none.

        Raises:
            NotFound: ``credential_missing``, always.
        """
        del tenant_id, person
        raise NotFound("credential_missing", name=name[:200])


class HandingOut:
    """The credentials of one call: handed out while it lasts, and erased from what it leaves.

    A call lasts 300 seconds at most, and so does what it was handed.
    """

    def __init__(self, source: CredentialSource, *, call: ToolCall) -> None:
        """Take where they come from; tenant and person are the call's."""
        self._source = source
        self._call = call
        self._eraser = Eraser()
        self._over = False

    async def reveal(self, name: str) -> str:
        """Return a secret; see ``Context.credential``."""
        call = self._call
        if self._over:
            raise Forbidden("credential_after_call", name=name[:200])
        try:
            secret = await self._source.reveal_to(
                call.tenant_id, name=name, person=call.requester.id
            )
        except Misconfigured as error:
            _log.error(
                "credential.unreadable",
                tenant_id=str(call.tenant_id),
                name=name[:200],
                code=error.code,
            )
            raise ToolFailed("credential_unreadable", name=name[:200]) from error
        self._eraser.learn(secret)
        _log.info(
            "credential.handed_out",
            tenant_id=str(call.tenant_id),
            run_id=str(call.run_id) if call.run_id else None,
            call_id=str(call.id),
            tool=call.tool,
            name=name[:200],
        )
        return secret

    @contextmanager
    def in_use(self) -> Generator[Eraser]:
        """Hand out until the block is left; logs of the block never show what was handed out.

        An error of ours that leaves the block has nothing of it either, and no cause to look into.
        """
        try:
            with structlog.contextvars.bound_contextvars(**{LOG_KEY: self._eraser}):
                yield self._eraser
        except SallyportError as error:
            if not self._eraser:
                raise
            raise _error_erased(error, eraser=self._eraser) from None
        finally:
            self._over = True


def failed_erased(failed: Failed, *, eraser: Eraser) -> Failed:
    """Return a failure that repeats no secret."""
    if not eraser:
        return failed
    return replace(
        failed,
        code=eraser.text(failed.code),
        message=eraser.text(failed.message),
        facts=eraser.object(failed.facts),
    )


def preview_erased(preview: Preview, *, eraser: Eraser) -> Preview:
    """Return a preview that repeats no secret."""
    return Preview.of_json(eraser.object(preview.as_json())) if eraser else preview


def _error_erased(error: E, *, eraser: Eraser) -> E:
    facts = {key: _fact_erased(fact, eraser=eraser) for key, fact in error.facts.items()}
    # Every class of the tree takes its code and its facts.
    return type(error)(eraser.text(error.code), **facts)


def _fact_erased(fact: Fact, *, eraser: Eraser) -> Fact:
    if isinstance(fact, list):
        return [eraser.text(each) for each in fact]
    return eraser.text(fact) if isinstance(fact, str) else fact
