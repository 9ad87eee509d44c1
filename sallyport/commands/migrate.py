"""Bringing the database to the newest shape."""

import click

from sallyport import settings
from sallyport.commands.answer import Answer, answering
from sallyport.storage import Storage


@click.command("migrate", help="Bring the database to the newest shape.")
@answering
async def COMMAND() -> Answer:  # noqa: N802 - what the command line looks for
    """Migrate with the login in the settings; the embedded database needs no telling."""
    store = settings.load().store
    storage = Storage(store)
    if store.database_url is None:
        async with storage:
            version = await storage.migrate()
    else:
        version = await storage.migrate()
    return Answer(document={"version": version}, shown=f"The database is at {version}.")
