"""Where the keys are kept that sign tokens; several processes may renew them, one does."""

from datetime import datetime

from sqlalchemy import exists, insert, select, text, update

from core.domain.signing import SigningKeyRecord
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.signing_tables import signing_keys

_LOCK = text("select pg_advisory_xact_lock(hashtextextended('signing-keys', 0))")
_MOST = 100


class StoredSigningKeys:
    """Signing keys on PostgreSQL. None is ever deleted, so that no id comes to mean another key."""

    def __init__(self, database: Database) -> None:
        """Take the way to the database."""
        self._database = database

    async def verifying(self, at: datetime) -> tuple[SigningKeyRecord, ...]:
        """Return the keys whose signatures are believed at ``at``, the newest first."""
        query = (
            select(signing_keys)
            .where(signing_keys.c.verifies_until > at)
            .order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
            .limit(_MOST)
        )
        async with self._database.without_tenant() as connection:
            return tuple(_key(row) for row in (await connection.execute(query)).all())

    async def add(
        self, key: SigningKeyRecord, *, retired_until: datetime, only_if_due: bool
    ) -> bool:
        """Keep ``key`` and have all others sign no more; believed until ``retired_until`` at most.

        Where ``only_if_due``, nothing is kept while another key still signs. Return whether the
        key was kept.
        """
        kept = signing_keys.c
        async with self._database.without_tenant() as connection:
            await connection.execute(_LOCK)
            signing = select(exists().where(kept.signs_until > key.created_at))
            if only_if_due and await connection.scalar(signing):
                return False
            await connection.execute(
                update(signing_keys)
                .where(kept.verifies_until > retired_until)
                .values(verifies_until=retired_until)
            )
            await connection.execute(
                update(signing_keys)
                .where(kept.signs_until > key.created_at)
                .values(signs_until=key.created_at)
            )
            await connection.execute(
                insert(signing_keys).values(
                    kid=key.kid,
                    sealed=key.sealed,
                    jwk=key.jwk,
                    created_at=key.created_at,
                    signs_until=key.signs_until,
                    verifies_until=key.verifies_until,
                )
            )
        return True

    async def reseal(self, was: SigningKeyRecord, *, sealed: bytes) -> bool:
        """Seal a key's private half anew; return whether it was still as ``was`` has it."""
        resealed = (
            update(signing_keys)
            .where(signing_keys.c.kid == was.kid, signing_keys.c.sealed == was.sealed)
            .values(sealed=sealed)
            .returning(signing_keys.c.kid)
        )
        async with self._database.without_tenant() as connection:
            return (await connection.execute(resealed)).one_or_none() is not None


def _key(row: AnyRow) -> SigningKeyRecord:
    return SigningKeyRecord(
        kid=row.kid,
        sealed=row.sealed,
        jwk=row.jwk,
        created_at=row.created_at,
        signs_until=row.signs_until,
        verifies_until=row.verifies_until,
    )
