"""A run's money: nothing is bought that might not fit."""

from core.errors import RunStopped


class RunBudget:
    """What a run has spent and what is on order. All figures are micro-dollars.

    One driver holds it; what was spent comes from the journal, what is on order dies with the
    driver. An order is made for the most that it may cost, so spend never passes the limit.
    """

    def __init__(self, *, limit_micros: int, spent_micros: int) -> None:
        """Take the limit and what the journal says was spent."""
        self._limit = limit_micros
        self._spent = spent_micros
        self._ordered: dict[str, int] = {}

    @property
    def spent_micros(self) -> int:
        """What has been settled so far."""
        return self._spent

    def reserve(self, key: str, *, micros: int) -> None:
        """Put at most ``micros`` on order under ``key``; the same key again replaces its order.

        Raises:
            RunStopped: ``budget_exceeded``: it might not fit.
        """
        others = sum(amount for name, amount in self._ordered.items() if name != key)
        if self._spent + others + micros > self._limit:
            raise RunStopped("budget_exceeded", budget=dollars(self._limit))
        self._ordered[key] = micros

    def settle(self, key: str, *, micros: int) -> None:
        """Replace the order by what it did cost; zero where nothing was bought."""
        self._ordered.pop(key, None)
        self._spent += micros


def dollars(micros: int) -> str:
    """Return an amount as people read it: ``$0.0042``, cents where they are enough."""
    amount = f"{micros / 1_000_000:.4f}"
    return f"${amount.removesuffix('00')}"
