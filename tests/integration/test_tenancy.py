"""Row-level security: found by looking at the catalogue, not at a list."""

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from core.store import (
    authorization_tables,
    capability_tables,
    chat_tables,
    deciding_tables,
    sign_in_tables,
    signing_tables,
    upstream_tables,
    vault_tables,
)
from core.store.database import Database
from core.store.tables import metadata, principals
from tests.builders import make_person, make_tenant
from tests.databases import Urls

# Imported, so that the metadata knows their tables.
_PARTS = (
    authorization_tables,
    capability_tables,
    chat_tables,
    deciding_tables,
    sign_in_tables,
    signing_tables,
    upstream_tables,
    vault_tables,
)


def test_every_tenant_table_forces_row_level_security(urls: Urls) -> None:
    with psycopg.connect(urls.privileged) as connection:
        unguarded = connection.execute(
            """select c.relname from pg_class c
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                 and (c.relname = 'tenants' or exists (
                   select 1 from pg_attribute a
                   where a.attrelid = c.oid and a.attname = 'tenant_id'))
                 and not (c.relrowsecurity and c.relforcerowsecurity and exists (
                   select 1 from pg_policy p where p.polrelid = c.oid and p.polcmd = '*'
                     and p.polqual is not null and p.polwithcheck is not null))"""
        ).fetchall()
    assert unguarded == []


def test_tables_without_tenant_are_exactly_those_of_the_whole_installation(urls: Urls) -> None:
    with psycopg.connect(urls.privileged) as connection:
        shared = connection.execute(
            """select c.relname from pg_class c
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                 and not c.relrowsecurity order by 1"""
        ).fetchall()
    assert [row[0] for row in shared] == [
        "alembic_version",
        "oauth_clients",
        "oauth_requests",
        "signing_keys",
        "workers",
    ]


def test_the_app_role_cannot_bypass_and_owns_nothing(urls: Urls) -> None:
    with psycopg.connect(urls.app) as connection:
        rights = connection.execute(
            """select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                      exists (select 1 from pg_class where relowner = r.oid
                              and relnamespace = 'public'::regnamespace)
               from pg_roles r where rolname = current_user"""
        ).fetchone()
    assert rights == (False, False, False, False, False)


def test_only_the_directory_functions_see_across_tenants(urls: Urls) -> None:
    with psycopg.connect(urls.privileged) as connection:
        definers = connection.execute(
            """select p.proname, r.rolname, p.proconfig
               from pg_proc p join pg_roles r on r.oid = p.proowner
               where p.pronamespace = 'public'::regnamespace and p.prosecdef
               order by 1"""
        ).fetchall()
    assert {name for name, _, _ in definers} <= {
        "directory_alive_workers",
        "directory_chat_news",
        "directory_chat_runs_due",
        "directory_driven_by",
        "directory_due_approvals",
        "directory_due_reminders",
        "directory_due_segments",
        "directory_inbox_due",
        "directory_install_state",
        "directory_link",
        "directory_oauth_code",
        "directory_oauth_refresh_token",
        "directory_outbox_due",
        "directory_session",
        "directory_tenant",
        "directory_tenant_of_issuer",
        "directory_tenants",
        "directory_tenants_of_domain",
        "directory_token",
        "directory_unsealed",
        "directory_workspace",
    }
    assert {owner for _, owner, _ in definers} == {"sallyport_directory"}
    assert all(config == ["search_path=pg_catalog, public, pg_temp"] for _, _, config in definers)


async def test_a_query_that_forgets_its_filter_sees_one_tenant_only(database: Database) -> None:
    acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    await make_person(database, acme, "alice@acme.test")
    await make_person(database, globex, "dave@globex.test")
    async with database.for_tenant(acme.id) as connection:
        emails = (await connection.execute(select(principals.c.email))).scalars().all()
    assert emails == ["alice@acme.test"]


async def test_a_transaction_without_a_tenant_sees_nothing(database: Database) -> None:
    acme = await make_tenant(database)
    await make_person(database, acme, "alice@acme.test")
    async with database.without_tenant() as connection:
        emails = (await connection.execute(select(principals.c.email))).scalars().all()
    assert emails == []


async def test_a_row_cannot_be_written_into_another_tenant(database: Database) -> None:
    acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.for_tenant(acme.id) as connection:
            await connection.execute(
                text("insert into tool_settings (tenant_id, tool, enabled) values (:t, 'x', true)"),
                {"t": globex.id},
            )


@pytest.mark.parametrize("table", ["audit_records", "audit_blocks", "decisions", "usage_events"])
async def test_what_was_written_once_cannot_be_changed_by_the_app(
    database: Database, table: str
) -> None:
    acme = await make_tenant(database)
    for statement in (f"delete from {table}", f"update {table} set tenant_id = tenant_id"):  # noqa: S608 - the names above
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.for_tenant(acme.id) as connection:
                await connection.execute(text(statement))


def test_the_tables_are_what_the_migrations_make(urls: Urls) -> None:
    with psycopg.connect(urls.privileged) as connection:
        columns = connection.execute(
            """select table_name, column_name, is_nullable = 'YES' from information_schema.columns
               where table_schema = 'public' and table_name <> 'alembic_version'"""
        ).fetchall()
    described = {
        (table.name, column.name, bool(column.nullable))
        for table in metadata.tables.values()
        for column in table.columns
    }
    assert set(columns) == described
