"""Whether row-level security binds us: a role that passes it by makes all rows ours."""

from dataclasses import dataclass

from sqlalchemy import text

from core.store.database import Database

_ROLE = text(
    """select rolname, rolsuper or rolbypassrls as passes,
              exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                      where n.nspname = 'public' and c.relowner = r.oid) as owns
       from pg_roles r where rolname = current_user"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The role that we are, and whether it may pass row-level security by, or owns tables."""

    role: str
    passes: bool
    owns: bool

    @property
    def holds(self) -> bool:
        """Whether every query of ours sees one tenant's rows only."""
        return not self.passes and not self.owns


async def confinement_of(database: Database) -> Confinement:
    """Look at the role that this database's connections have.

    Raises:
        Unavailable: ``database_unavailable``.
    """
    async with database.without_tenant() as connection:
        row = (await connection.execute(_ROLE)).one()
    return Confinement(role=row.rolname, passes=row.passes, owns=row.owns)
