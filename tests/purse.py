"""What is left of tokens for a few calls, in a test's hand."""

from datetime import datetime

from core.domain.ids import TenantId, TokenId


class Purse:
    """The Capabilities port: so many uses are left, whatever they cost."""

    def __init__(self, left: int = 0) -> None:
        self.left = left

    async def spend(
        self, tenant_id: TenantId, *, token_id: TokenId, micros: int, at: datetime
    ) -> bool:
        del tenant_id, token_id, micros, at
        if not self.left:
            return False
        self.left -= 1
        return True

    async def give_back(self, tenant_id: TenantId, *, token_id: TokenId, micros: int) -> None:
        del tenant_id, token_id, micros
        self.left += 1
