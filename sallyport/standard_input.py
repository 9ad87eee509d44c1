"""Standard input that ends when we say so: a thread that reads it could not be ended itself."""

import os
import threading
from collections.abc import Callable

_STDIN = 0
_PIECE = 65_536


def relayed() -> Callable[[], None]:
    """Put a pipe of ours in the place of standard input; return what makes it end.

    A daemon thread copies, whatever standard input is: a pipe, a socket, a terminal, a file.
    """
    source = os.dup(_STDIN)
    reads, writes = os.pipe()
    os.dup2(reads, _STDIN)
    os.close(reads)
    sink: list[int] = [writes]
    # Closed while the thread writes, its number might be another file's by then.
    held = threading.Lock()

    def end() -> None:
        with held:
            if sink:
                os.close(sink.pop())

    def copy() -> None:
        while piece := os.read(source, _PIECE):
            with held:
                if not sink:
                    return
                os.write(sink[0], piece)
        end()

    threading.Thread(target=copy, name="standard-input", daemon=True).start()
    return end
