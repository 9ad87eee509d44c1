"""Tokens for a few calls: counted before a call is let in, and given back where it was not."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from core.errors import Forbidden, Refused, StaleEpoch
from core.governance.judgement import Judgement
from core.ports import Capabilities, Clock


class Spending:
    """Takes what a call costs from the token that it came with; other tokens are not counted."""

    def __init__(self, capabilities: Capabilities, *, clock: Clock) -> None:
        """Take where it is counted how much is left."""
        self._capabilities = capabilities
        self._clock = clock

    async def spend(self, judgement: Judgement) -> None:
        """Use the token once, for what the tool costs.

        Raises:
            Forbidden: ``capability_spent``: nothing is left of it, or it is revoked or expired.
        """
        capability = judgement.call.capability
        if capability is None:
            return
        spent = await self._capabilities.spend(
            judgement.call.tenant_id,
            token_id=capability.token_id,
            micros=judgement.tool.cost_micros,
            at=self._clock.now(),
        )
        if not spent:
            raise Forbidden("capability_spent", tool=judgement.tool.name)

    async def give_back(self, judgement: Judgement) -> None:
        """Undo ``spend``: the call was not let in after all."""
        capability = judgement.call.capability
        if capability is not None:
            await self._capabilities.give_back(
                judgement.call.tenant_id,
                token_id=capability.token_id,
                micros=judgement.tool.cost_micros,
            )

    @asynccontextmanager
    async def unless_refused(self, judgement: Judgement) -> AsyncGenerator[None]:
        """Give back what was spent where the block is refused, or must be judged again."""
        try:
            yield
        except (Refused, StaleEpoch):
            await self.give_back(judgement)
            raise
