"""A tool that must not be repeated: each call leaves a line in a file, whoever makes it."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from core.domain.tool import Preview, Risk
from core.tools.authoring import (
    Arguments,
    BoundPack,
    Context,
    EffectContext,
    Output,
    Pack,
    tool,
)
from tests.scenarios.crash.mortal import MortalAssembly

SCRIPT = """
scripts:
  - contains: pay
    turns:
      - say: I pay.
        calls: [{tool: pay_invoice, arguments: {number: "4711"}}]
      - when: {tool: pay_invoice, outcome: succeeded}
        say: Paid.
      - when: {tool: pay_invoice}
        say: "Not paid: ${{ results.pay_invoice.error.code }}"
"""


class Ledger:
    """The outside world: payments as lines of a file, appended whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "payments.txt"

    def pay(self, number: str) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{number}\n".encode())
        finally:
            os.close(file)

    def payments(self) -> list[str]:
        return self._path.read_text().split() if self._path.exists() else []


class Invoice(Arguments):
    number: str = Field(max_length=20, description="The invoice's number.")


class Paid(Output):
    number: str


async def what_it_pays(arguments: Invoice, context: Context[Ledger]) -> Preview:
    """Show what would be paid."""
    del context
    return Preview(summary=f"Pay the invoice {arguments.number}.")


@tool(risk=Risk.CAUTIOUS, preview=what_it_pays, idempotent=False)
async def pay_invoice(arguments: Invoice, context: EffectContext[Ledger]) -> Paid:
    """Pay an invoice. Returns its number."""
    context.store.pay(arguments.number)
    return Paid(number=arguments.number)


PAYMENTS: Pack[Ledger] = Pack(name="payments", tools=(pay_invoice,))


class PayingAssembly(MortalAssembly):
    """The application with a tool that pays, and whose payments nobody can look up."""

    def packs(self) -> Sequence[BoundPack]:
        return (*super().packs(), PAYMENTS.bound(Ledger(self.settings.store.data_dir)))
