"""The seal: a tool accepts nothing but a call that has passed the door."""

import inspect

from core.domain.run import Lease
from core.domain.tool import Tool, ToolCall

_DOOR = "core.governance.door"


class PermittedCall:
    """A call that has passed the door. Only ``core.governance.door`` makes one.

    Attributes:
        call: the request as it was judged.
        tool: the definition that it was judged under.
        idempotency_key: digest over tenant, run, step, index, tool and canonical arguments.
        lease: the run's lease that the driver holds; a tool that writes our tables checks it in the
            transaction of its effect. None for a call without a run.
    """

    __slots__ = ("call", "idempotency_key", "lease", "tool")

    call: ToolCall
    tool: Tool
    idempotency_key: str
    lease: Lease | None

    def __init__(
        self, *, call: ToolCall, tool: Tool, idempotency_key: str, lease: Lease | None
    ) -> None:
        """Refuse every module but the door.

        Raises:
            TypeError: made anywhere else.
        """
        # The caller's module is the seal: a token to import could be imported by anyone.
        frame = inspect.currentframe()
        maker = frame.f_back if frame else None
        if maker is None or maker.f_globals.get("__name__") != _DOOR:
            message = "only the door permits calls"
            raise TypeError(message)
        fields = {"call": call, "tool": tool, "idempotency_key": idempotency_key, "lease": lease}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __init_subclass__(cls) -> None:
        """Refuse heirs, whose constructor would be their own.

        Raises:
            TypeError: always.
        """
        message = "only the door permits calls"
        raise TypeError(message)

    def __setattr__(self, name: str, _value: object) -> None:
        """Stay what was permitted.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(name)
