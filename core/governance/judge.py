"""The first gate: what the policy says about a call, and what the call would change."""

from dataclasses import replace

from core.domain.canonical import JsonObject, storable
from core.domain.run import CallRecord
from core.domain.tool import Preview, Tool, ToolCall
from core.domain.verdict import Allow, Approvers, Deny, RequireApproval, Verdict
from core.errors import Conflict, Forbidden, NotFound
from core.governance.digest import approval_digest
from core.governance.judgement import Judgement, Offer
from core.ports import Clock, Facts, Policy, Standing, ToolBox


class Judge:
    """Finds the tool, checks the arguments, asks the policy and looks at what would change."""

    def __init__(self, *, toolbox: ToolBox, policy: Policy, clock: Clock) -> None:
        """Take the registered tools, the policy and the time."""
        self._toolbox = toolbox
        self._policy = policy
        self._clock = clock

    def offered(self, standing: Standing, *, scopes: frozenset[str], via: str) -> tuple[Tool, ...]:
        """Return the tools that this person may call at all, asking or not, by name."""
        return tuple(offer.tool for offer in self.offers(standing, scopes=scopes, via=via))

    def offers(self, standing: Standing, *, scopes: frozenset[str], via: str) -> tuple[Offer, ...]:
        """Return what :meth:`offered` does, each tool with the verdict that lets it be called."""
        judged = (
            (tool, self._verdict(tool, standing=standing, scopes=scopes, arguments={}, via=via))
            for tool in (*self._toolbox.tools(), *standing.tools.values())
            if tool.listed
        )
        return tuple(
            Offer(tool=tool, verdict=verdict)
            for tool, verdict in judged
            if not isinstance(verdict, Deny)
        )

    def is_registered(self, name: str) -> bool:
        """Return whether every tenant has a tool of this name, unless it is switched off."""
        return self._toolbox.find(name) is not None

    def has_effect(self, name: str, *, standing: Standing | None = None) -> bool:
        """Return whether a tool changes anything; one that is not there does nothing.

        Without a ``standing``, the registered tools are all there are.
        """
        tool = self._toolbox.find(name) or (standing.tools.get(name) if standing else None)
        return tool is not None and tool.risk.has_effect

    def checked(self, call: ToolCall, *, standing: Standing) -> ToolCall:
        """Return the call with its arguments as the tool takes them.

        Raises:
            NotFound: ``unknown_tool``.
            Conflict: ``upstream_changed``.
            InvalidInput: the arguments do not fit.
            Forbidden: ``capability_exceeded``.
        """
        return self._checked(call, tool=self._found(call, standing=standing))

    async def judge(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> Judgement:
        """Return what the door would say to ``call`` now; nothing is done and nothing recorded.

        Raises:
            NotFound: ``unknown_tool``, or an argument names what is not there.
            InvalidInput: the arguments do not fit.
            Forbidden: the tool itself refuses this person; ``capability_exceeded``: the token is
                for other calls.
            Conflict: ``upstream_changed``: the tool is not what was accepted any more.
        """
        tool = self._found(call, standing=standing)
        checked = self._checked(call, tool=tool)
        verdict = self._verdict_on(checked, tool=tool, standing=standing, scopes=scopes)
        preview = digest = None
        if tool.risk.has_effect and not isinstance(verdict, Deny):
            preview = await self._toolbox.preview(checked)
        if preview is None and isinstance(verdict, RequireApproval):
            # Whatever people are asked about, their answer is bound to exactly that.
            preview = Preview(summary=f"Call {tool.name}.")
        if preview is not None:
            digest = approval_digest(checked, tool=tool, bound=preview.bound())
        return Judgement(
            call=checked,
            tool=tool,
            verdict=verdict,
            preview=preview,
            digest=digest,
            epoch=standing.tenant.epoch,
        )

    def judge_again(
        self,
        record: CallRecord,
        *,
        call: ToolCall,
        standing: Standing,
        scopes: frozenset[str],
    ) -> Judgement:
        """Judge a call that may have happened: its stored preview stands for one made now.

        Raises:
            NotFound: ``unknown_tool``.
            Conflict: ``upstream_changed``.
            InvalidInput: the arguments do not fit any more.
        """
        tool = self._found(call, standing=standing)
        checked = self._checked(call, tool=tool)
        preview = Preview(summary=tool.name)
        if record.preview is not None:
            preview = Preview.of_json(record.preview)
        verdict = self._verdict_on(checked, tool=tool, standing=standing, scopes=scopes)
        return Judgement(
            call=checked,
            tool=tool,
            verdict=verdict,
            preview=preview,
            digest=approval_digest(checked, tool=tool, bound=preview.bound()),
            epoch=standing.tenant.epoch,
        )

    def _checked(self, call: ToolCall, *, tool: Tool) -> ToolCall:
        """Return the call as the tool takes it, if its token is for such calls."""
        arguments = self._toolbox.checked_arguments(tool, call.arguments)
        if call.capability and not call.capability.covers(tool.name, arguments=arguments):
            raise Forbidden("capability_exceeded", tool=tool.name)
        return replace(call, arguments=arguments)

    def _found(self, call: ToolCall, *, standing: Standing) -> Tool:
        if call.tool in standing.held_tools:
            raise Conflict("upstream_changed", tool=call.tool)
        tool = self._toolbox.find(call.tool) or standing.tools.get(call.tool)
        if tool is None or not (tool.listed or call.via == "undo"):
            raise NotFound("unknown_tool", tool=storable(call.tool[:200]))
        return tool

    def _verdict_on(
        self, call: ToolCall, *, tool: Tool, standing: Standing, scopes: frozenset[str]
    ) -> Verdict:
        """Return what the policy says; what its requester did not ask for needs people anyway."""
        verdict = self._verdict(
            tool, standing=standing, scopes=scopes, arguments=call.arguments, via=call.via
        )
        if call.edited is None or not isinstance(verdict, Allow):
            return verdict
        return RequireApproval(
            reason=f"{call.edited.by} changed this call, so somebody has to vouch for it.",
            approvers=Approvers(role=tool.approver, needed=tool.needed),
            rules=verdict.rules,
        )

    def _verdict(
        self,
        tool: Tool,
        *,
        standing: Standing,
        scopes: frozenset[str],
        arguments: JsonObject,
        via: str,
    ) -> Verdict:
        facts = Facts(
            tenant=standing.tenant,
            principal=standing.principal,
            scopes=scopes,
            resource_tenant=standing.tenant.id,
            tool=tool,
            enabled=tool.name not in standing.disabled_tools,
            arguments=arguments,
            via=via,
            now=self._clock.now(),
        )
        return self._policy.judge(facts)
