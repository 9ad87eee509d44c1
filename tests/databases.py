"""Databases of tests: built by the real migrations, each for one test, and used again."""

import time
from dataclasses import dataclass
from itertools import count

import psycopg
from psycopg import sql

from core.durable import client as durable
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate

_PASSWORD = "app-password-of-the-tests"
_TEMPLATE = "template_of_tests"
_TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
_ENDING_SECONDS = 5.0
# What is there beside rows: a test that made, changed or granted anything changes one of these.
_SHAPE = """
select md5(string_agg(line, ',' order by line)) from (
  select concat('class', oid, ' ', xmin) from pg_class where relnamespace >= 16384 or oid >= 16384
  union all select concat('attribute', attrelid, attnum, ' ', xmin) from pg_attribute
    where attrelid >= 16384
  union all select concat('function', oid, ' ', xmin) from pg_proc where oid >= 16384
  union all select concat('policy', oid, ' ', xmin) from pg_policy
  union all select concat('trigger', oid, ' ', xmin) from pg_trigger where oid >= 16384
  union all select concat('constraint', oid, ' ', xmin) from pg_constraint where oid >= 16384
  union all select concat('schema', oid, ' ', xmin) from pg_namespace where oid >= 16384
  union all select concat('setting', setdatabase, setrole, ' ', xmin) from pg_db_role_setting
  union all select concat('version', version_num) from alembic_version
  union all select concat('role', rolname, rolsuper, rolbypassrls, rolcanlogin) from pg_roles
) as shape (line)
"""
# Row by row, and only where there are rows: a truncation of sixty tables makes sixty files anew.
_EMPTY = """
do $$
declare
  each regclass;
  has_rows boolean;
begin
  set local session_replication_role = replica;
  for each in
    select oid from pg_class
    where relkind = 'r' and oid >= 16384
      and relname not in ('alembic_version', 'dbos_migrations', 'queues')
  loop
    execute format('select exists (select from %s)', each) into has_rows;
    if has_rows then
      execute format('delete from %s', each);
    end if;
  end loop;
end $$
"""
# Making and dropping databases waits for the disk otherwise; the tests that kill PostgreSQL have
# servers of their own, with the settings of the product.
_HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    # What makes a stolen password hash slow to guess makes each of thousands of connections slow.
    "scram_iterations": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Two ways into one test's database: as the cluster's owner, and as the app."""

    privileged: str
    app: str


class CleanDatabases:
    """Databases to be used again: emptied after a test, dropped where it changed their shape."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count()
        self._free: list[str] = []
        self._shapes: dict[str, str] = {}

    def take(self) -> str:
        """Return the name of a database as the migrations left it."""
        if self._free:
            return self._free.pop()
        name = f"test_{next(self._numbers)}"
        _create(self._server, name, template=_TEMPLATE)
        with psycopg.connect(_privileged(self._server, name)) as connection:
            self._shapes[name] = _shape(connection)
        return name

    def urls(self, name: str) -> Urls:
        """Return the ways into a database."""
        return Urls(
            privileged=_privileged(self._server, name),
            app=self._server.url(user="sallyport_app", password=_PASSWORD, database=name),
        )

    def give_back(self, name: str) -> None:
        """End whoever is still connected, and take every row away."""
        with psycopg.connect(_privileged(self._server, "postgres"), autocommit=True) as connection:
            _end_others(connection, name)
            if self._is_empty_again(name):
                self._free.append(name)
                return
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )

    def _is_empty_again(self, name: str) -> bool:
        try:
            with psycopg.connect(_privileged(self._server, name)) as connection:
                is_as_made = _shape(connection) == self._shapes[name]
                if is_as_made:
                    connection.execute(_EMPTY)
                return is_as_made
        except psycopg.Error:
            return False  # the test has dropped it, or what is looked at


def build_template(server: EmbeddedPostgres) -> None:
    """Have the server hurry, and build the database that all others are copies of."""
    _hurry(server)
    _create(server, _TEMPLATE, template="template1")
    url = _privileged(server, _TEMPLATE)
    migrate(url, app_password=_PASSWORD)
    durable.migrate(url, application_role="sallyport_app")


def _privileged(server: EmbeddedPostgres, database: str) -> str:
    return server.url(user="sallyport_admin", password=server.superuser_password, database=database)


def _end_others(connection: psycopg.Connection, name: str) -> None:
    """End whoever is connected to a database, and see them gone."""
    until = time.monotonic() + _ENDING_SECONDS
    # With a time to wait given, the function looks every 100 ms only: longer than most tests take.
    while connection.execute(_TERMINATE, [name]).fetchall():
        assert time.monotonic() < until, "somebody stays connected"
        connection.execute("select pg_sleep(0.002)")


def _shape(connection: psycopg.Connection) -> str:
    row = connection.execute(_SHAPE).fetchone()
    assert row
    return str(row[0])


def _hurry(server: EmbeddedPostgres) -> None:
    url = _privileged(server, "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in _HASTY.items():
            connection.execute(
                sql.SQL("alter system set {} = {}").format(
                    sql.Identifier(setting), sql.Literal(value)
                )
            )
        connection.execute("select pg_reload_conf()")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter role current_user password {}").format(
                sql.Literal(server.superuser_password)
            )
        )


def _create(server: EmbeddedPostgres, name: str, *, template: str) -> None:
    with psycopg.connect(_privileged(server, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
