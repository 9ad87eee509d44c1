"""What the agent can do for somebody, under which policies, and what people often ask of it."""

from collections.abc import Sequence
from dataclasses import dataclass

# Any: a pack's own types end where it was bound to its store.
from typing import Any, Final

from core.domain.canonical import storable
from core.domain.policy import PolicyRule
from core.domain.principal import Caller
from core.domain.verdict import Allow
from core.errors import Forbidden, Misconfigured, NotFound
from core.governance.judge import Judge
from core.governance.judgement import Offer
from core.ports import People, Policy
from core.tools.authoring import BoundPack
from core.tools.prompting import PackPrompt, Typed

_TYPED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A prompt and the store that its completers look into."""

    prompt: PackPrompt[Any]
    store: object


class Handbook:
    """Answers for one caller at a time, from what the first gate would say to them now."""

    def __init__(
        self, *, people: People, judge: Judge, policy: Policy, packs: Sequence[BoundPack]
    ) -> None:
        """Take who people are, the first gate, and the packs whose prompts are offered.

        Raises:
            Misconfigured: ``invalid_setting``: two prompts share a name.
        """
        self._people = people
        self._judge = judge
        self._policy = policy
        bound = [_Bound(prompt=one, store=pack.store) for pack in packs for one in pack.prompts]
        self._prompts = {one.prompt.name: one for one in sorted(bound, key=_name_of)}
        if len(self._prompts) != len(bound):
            raise Misconfigured("invalid_setting", key="tools", detail="two prompts share a name")

    async def offers(self, caller: Caller) -> tuple[Offer, ...]:
        """Return the tools that the caller may use and on what terms, by name.

        Raises:
            Forbidden: ``missing_scope``.
        """
        _need(caller)
        standing = await self._people.standing(caller.tenant_id, principal_id=caller.principal.id)
        offers = self._judge.offers(standing, scopes=caller.scopes, via=caller.via)
        return tuple(one for one in offers if caller.may_name(one.tool.name))

    def rules(self, caller: Caller) -> Sequence[PolicyRule]:
        """Return the policies that the caller is judged by, in their order.

        Raises:
            Forbidden: ``missing_scope``.
        """
        _need(caller)
        return self._policy.rules()

    async def prompts(self, caller: Caller) -> tuple[PackPrompt[Any], ...]:
        """Return the prompts whose tools the caller has, all of them, by name."""
        has = {offer.tool.name for offer in await self.offers(caller)}
        return tuple(
            one.prompt for one in self._prompts.values() if has.issuperset(one.prompt.needs)
        )

    async def prompt(self, caller: Caller, *, name: str) -> PackPrompt[Any]:
        """Return one of the caller's prompts.

        Raises:
            NotFound: ``not_found``: none of that name, or one whose tools they have not.
        """
        for prompt in await self.prompts(caller):
            if prompt.name == name:
                return prompt
        raise NotFound("not_found", noun="prompt")

    async def suggestions(
        self, caller: Caller, *, prompt: str, argument: str, typed: str, limit: int
    ) -> Sequence[str]:
        """Return values for an argument of a prompt, ``limit`` at most, the likeliest first.

        Nothing is called and so nothing recorded: only values come back that the caller would be
        told by a tool which they may call without asking anybody. What cannot be completed, or
        needs somebody's approval to be read, has no suggestions.

        Raises:
            NotFound: ``not_found``: no such prompt of theirs, or no such argument of it.
        """
        found = await self.prompt(caller, name=prompt)
        asked = [one for one in found.arguments if one.name == argument]
        if not asked:
            raise NotFound("not_found", noun="argument")
        completer = asked[0].completer
        if completer is None or len(typed) > _TYPED or storable(typed) != typed:
            return ()
        offers = {offer.tool.name: offer for offer in await self.offers(caller)}
        if not isinstance(offers[completer.reads].verdict, Allow):
            return ()
        store = self._prompts[prompt].store
        return await completer.find(
            Typed(text=typed.strip(), limit=limit, viewer=caller.principal, store=store)
        )


def _name_of(bound: _Bound) -> str:
    return bound.prompt.name


def _need(caller: Caller) -> None:
    if "tools:call" not in caller.scopes:
        raise Forbidden("missing_scope", scope="tools:call")
