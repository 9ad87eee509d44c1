"""What was said in a thread: Teams does not tell an app, unless a whole team lets it read all."""

from collections.abc import Sequence

from bots.asking import Said


class NoThreads:
    """The Threads of Teams. What a run is told of before, it is told of earlier runs there."""

    async def said(
        self, workspace: str, *, channel: str, thread: str, before: str, limit: int
    ) -> Sequence[Said]:
        """Return nothing: no permission is asked for to read what people say to each other."""
        del workspace, channel, thread, before, limit
        return ()
