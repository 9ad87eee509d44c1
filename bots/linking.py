"""Who is who on a chat surface: an account becomes a person's by their own word, signed in.

A link by itself does nothing, whoever opens it. It names one account, and makes it the account of
whoever signs in and confirms. Two people may be brought to do that wrongly: one to whom a colleague
hands the link to the colleague's own account, and one who opens a colleague's. So an account whose
email is that of somebody here can be confirmed by that person only. Where nobody here has its
email, it must be said in so many words that the account is one's own. And whoever becomes linked is
told to the account, and to every other account of theirs, with a way to take it back.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from core.domain.account import Account, AccountLink, Linked, LinkOffer, Shown
from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.delivery import Wish
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from core.identity.browser_sessions import AuditSink
from core.ports import Clock
from core.store.chat_link_offers import StoredLinkOffers
from core.store.chat_links import Record, StoredLinks

OFFER_LIFE: Final = timedelta(minutes=15)
OFFERS_AN_HOUR: Final = 5

_HOUR: Final = timedelta(hours=1)
_RANDOM_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9:._-]{1,200}", re.ASCII)
_EMAIL: Final = re.compile(r"[!-~]{1,64}@[a-z0-9.-]{1,253}", re.ASCII)
_LONGEST_NAME: Final = 80
_SYSTEM: Final = "system"


class Teller(Protocol):
    """A surface, in so far as it tells an account that somebody was linked."""

    def linked(self, link: AccountLink, *, told: Account) -> Sequence[Wish]:
        """Return what ``told`` reads of the link, by itself; not always the account linked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Where somebody goes to say that an account is theirs, for so long. Told to nobody else."""

    path: str
    expires_at: datetime


class Linking:
    """Links accounts to people and ends that; says whose an account is, anew each time."""

    def __init__(
        self,
        links: StoredLinks,
        *,
        offers: StoredLinkOffers,
        audit: AuditSink,
        clock: Clock,
        tellers: Mapping[str, Teller],
    ) -> None:
        """Take where links and offers are kept; ``tellers`` are the surfaces, by name."""
        self._links = links
        self._offers = offers
        self._audit = audit
        self._clock = clock
        self._tellers = tellers

    async def person(self, tenant_id: TenantId, *, account: Account) -> Principal | None:
        """Return whose the account is, as they stand now; None where nobody's who is enabled."""
        return await self._links.person(tenant_id, account=account)

    async def accounts_of(
        self,
        tenant_id: TenantId,
        *,
        principal_ids: Sequence[PrincipalId],
        surface: str,
        workspace: str,
    ) -> tuple[Account, ...]:
        """Return people's accounts in a workspace, the longest linked first."""
        return await self._links.accounts_of(
            tenant_id, principal_ids=principal_ids, surface=surface, workspace=workspace
        )

    async def page(
        self,
        tenant_id: TenantId,
        *,
        after: Account | None = None,
        limit: int = 100,
        principal_id: PrincipalId | None = None,
    ) -> tuple[AccountLink, ...]:
        """Return the tenant's links, or a person's, by account; those behind ``after``."""
        return await self._links.page(
            tenant_id, after=after, limit=limit, principal_id=principal_id
        )

    async def offer(self, tenant_id: TenantId, *, account: Account, shown: Shown) -> Offered:
        """Return a fresh way to link an account; those offered to it before are worth nothing.

        Raises:
            NotFound: ``not_found``: the tenant has no such workspace now.
            Conflict: ``account_linked``.
            LimitReached: ``too_many_links``.
        """
        secret = secrets.token_urlsafe(_RANDOM_BYTES)
        email = shown.email.strip().lower() if shown.email else None
        kept = await self._offers.offer(
            tenant_id,
            account=account,
            shown=replace(shown, name=shown.name[:_LONGEST_NAME], email=email),
            offer_hash=_hash(secret),
            now=self._clock.now(),
            life=OFFER_LIFE,
            most=OFFERS_AN_HOUR,
            within=_HOUR,
        )
        return Offered(path=f"/link/{secret}", expires_at=kept.expires_at)

    async def seen(self, person: Principal, *, secret: str) -> LinkOffer:
        """Return what the person would confirm, or what they have; nothing changes.

        Raises:
            NotFound: ``link_offer_unknown``: nobody's, or another tenant's.
            Conflict: ``link_offer_used``, ``link_offer_expired``, ``account_linked``.
            Forbidden: ``account_of_another``.
        """
        offer = await self._offer(person, secret=secret)
        if offer.holder != person.id:
            _check(offer, person=person, now=self._clock.now())
        return offer

    async def accept(self, person: Principal, *, secret: str, is_mine: bool) -> AccountLink:
        """Link the account to the person who says, signed in, that it is theirs.

        Raises:
            NotFound: as ``seen``; ``not_found``: the person is there no more.
            Conflict: as ``seen``.
            Forbidden: as ``seen``.
            InvalidInput: ``link_not_confirmed``: nobody here has the account's email, and
                ``is_mine`` was not said.
        """
        offer = await self._offer(person, secret=secret)
        now = self._clock.now()
        try:
            _check(offer, person=person, now=now)
            if offer.expected is None and not is_mine:
                raise InvalidInput("link_not_confirmed")
            return await self._offers.accept(
                offer,
                offer_hash=_hash(secret),
                person=person,
                at=now,
                record=self._linked(actor=person.email),
                tell=self._tell,
            )
        except Refused as refused:
            content = {**_told(offer.account), "code": refused.code}
            await self._audit.record(
                audit_record(
                    person.tenant_id,
                    at=now,
                    action="account.link_refused",
                    actor=person.email,
                    content=content,
                )
            )
            raise

    async def by_email(
        self, tenant_id: TenantId, *, account: Account, email: str
    ) -> Principal | None:
        """Link an account by an email that its workspace has verified, if the tenant trusts that.

        It does where an admin has said so for the workspace, for addresses in the domains of the
        tenant's identity provider, for people who are there and enabled, and for accounts that
        were never linked. None where any of this is not so; whose the account is where it is
        somebody's by now.
        """
        email = email.strip().lower()
        if _EMAIL.fullmatch(email) is None:
            return None
        person = await self._links.trusted(tenant_id, account=account, email=email)
        if person is None:
            # Also where another arrival of theirs was quicker than this one.
            return await self._links.person(tenant_id, account=account)
        link = AccountLink(
            account=account, person=person, how=Linked.DOMAIN, linked_at=self._clock.now()
        )
        record = self._linked(actor=_SYSTEM)
        if await self._links.keep_trusted(link, email=email, record=record, tell=self._tell):
            return person
        return await self._links.person(tenant_id, account=account)

    async def bind(self, person: Principal, *, account: Account, actor: str) -> AccountLink:
        """Link an account to a person because an operator says so.

        Raises:
            InvalidInput: ``invalid_account``.
            NotFound: ``not_found``: the tenant has no such workspace now, or the person is gone.
            Conflict: ``account_linked``.
        """
        if any(_ID.fullmatch(one) is None for one in (account.workspace, account.user)):
            raise InvalidInput("invalid_account")
        link = AccountLink(
            account=account, person=person, how=Linked.OPERATOR, linked_at=self._clock.now()
        )
        await self._links.bind(link, record=self._linked(actor=actor), tell=self._tell)
        return link

    async def unlink(
        self,
        tenant_id: TenantId,
        *,
        account: Account,
        actor: str | None = None,
        why: str,
        of: PrincipalId | None = None,
    ) -> AccountLink | None:
        """End a link at once; None where there is none, or it is not ``of`` that person.

        ``actor`` is an email, ``operator`` or ``system``; None: the person whose account it was.
        ``why`` is a code for the auditor.
        """
        at = self._clock.now()

        def record(link: AccountLink) -> AuditRecord:
            content: JsonObject = {
                **_told(link.account),
                "email": link.person.email,
                "how": link.how.value,
                "why": why,
            }
            by = actor or link.person.email
            return audit_record(
                tenant_id, at=at, action="account.unlinked", actor=by, content=content
            )

        return await self._links.unlink(tenant_id, account=account, at=at, record=record, of=of)

    async def disown(self, person: Principal, *, secret: str) -> LinkOffer:
        """End the person's own link of the account that an offer was for. Twice is once.

        Raises:
            NotFound: ``link_offer_unknown``.
        """
        offer = await self._offer(person, secret=secret)
        await self.unlink(person.tenant_id, account=offer.account, why="by_person", of=person.id)
        return offer

    async def _offer(self, person: Principal, *, secret: str) -> LinkOffer:
        if _SECRET.fullmatch(secret) is None:
            raise NotFound("link_offer_unknown")
        offer = await self._offers.offered(person.tenant_id, offer_hash=_hash(secret))
        if offer is None:
            raise NotFound("link_offer_unknown")
        return offer

    def _linked(self, *, actor: str) -> Record:
        def record(link: AccountLink) -> AuditRecord:
            content: JsonObject = {
                **_told(link.account),
                "email": link.person.email,
                "how": link.how.value,
            }
            return audit_record(
                link.person.tenant_id,
                at=link.linked_at,
                action="account.linked",
                actor=actor,
                content=content,
            )

        return record

    def _tell(self, link: AccountLink, others: Sequence[Account]) -> Sequence[Wish]:
        everywhere = (link.account, *(one for one in others if one != link.account))
        return [
            wish
            for told in everywhere
            if told.surface in self._tellers
            for wish in self._tellers[told.surface].linked(link, told=told)
        ]


def _check(offer: LinkOffer, *, person: Principal, now: datetime) -> None:
    if offer.used_at is not None:
        raise Conflict("link_offer_used")
    if offer.expires_at <= now:
        raise Conflict("link_offer_expired")
    if offer.holder is not None:
        raise Conflict("account_linked")
    if offer.expected not in {None, person.id}:
        raise Forbidden("account_of_another")


def _told(account: Account) -> dict[str, str]:
    return {"surface": account.surface, "workspace": account.workspace, "user": account.user}


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
