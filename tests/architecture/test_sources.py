"""What no linter of others knows: the seal on the door, and the house's own rules about files."""

import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from core.domain.permit import PermittedCall
from tests.architecture.sources import ROOT, calls, imported, modules, packages, place
from tests.nouns import a_person, a_tool
from tests.permits import a_call

LONGEST = 400

TOO_LONG = {
    "core/store/tables.py": "a list of tables: it is looked things up in, not read",
}
"""Modules over the limit, each with its reason."""

SLEEPERS = {
    "bench/peers/contextforge.py": "polls a child process, with an end",
    "core/store/embedded.py": "waits for a server in a thread of its own",
    "core/store/postmaster.py": "waits for a server in a thread of its own",
    "core/store/watchdog.py": "is a process of its own",
    "tests/driving.py": "hangs a worker's loop on purpose",
    "tests/integration/test_embedded.py": "polls a child process, with an end",
    "tests/integration/test_heartbeat.py": "hangs the loop on purpose",
}
"""Who may block a thread with time.sleep, each with its reason."""

DRAWER = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"})


def test_exactly_one_place_makes_a_permitted_call() -> None:
    sites = [site for path in modules() for site in calls(path, "PermittedCall")]
    assert [site.rpartition(":")[0] for site in sites] == ["core/governance/door.py"]


def test_nobody_goes_round_the_constructor_of_a_permit() -> None:
    ways = ("object.__new__", "PermittedCall.__new__", "copy.copy", "copy.deepcopy")
    assert [site for path in modules() for site in calls(path, *ways)] == []


def test_a_permit_refuses_everybody_but_the_door() -> None:
    call, tool = a_call(a_person(), "delete_task"), a_tool("delete_task")
    with pytest.raises(TypeError, match="only the door permits calls"):
        PermittedCall(call=call, tool=tool, idempotency_key="", lease=None)


def test_a_permit_cannot_be_inherited() -> None:
    with pytest.raises(TypeError, match="only the door permits calls"):
        type("Forged", (PermittedCall,), {})


def test_a_permit_cannot_be_made_to_say_something_else() -> None:
    permit = PermittedCall.__new__(PermittedCall)
    with pytest.raises(AttributeError):
        permit.call = a_call(a_person(), "delete_task")


def test_a_module_is_short_enough_to_be_read() -> None:
    lines = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name for name, count in lines.items() if count > LONGEST} - set(TOO_LONG) == set()


def test_a_module_is_named_for_what_it_is() -> None:
    every = [*modules(), *modules("tests", "bench")]
    assert [place(path) for path in every if path.stem in DRAWER] == []


def test_modules_that_may_be_long_are_long() -> None:
    for name in TOO_LONG:
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) > LONGEST, name


def test_tests_fake_and_never_mock() -> None:
    every = list(modules("tests", "bench"))
    assert [place(path) for path in every if _mocks(path)] == []
    patching = ("monkeypatch.setattr", "mocker.patch", "patch", "patch.object")
    assert [site for path in every for site in calls(path, *patching)] == []


def test_nobody_sleeps_for_luck() -> None:
    every = [*modules(), *modules("tests", "bench")]
    blocking = [site for path in every for site in calls(path, "time.sleep")]
    assert {site.rpartition(":")[0] for site in blocking} - set(SLEEPERS) == set()


def test_a_migration_never_imports_the_application() -> None:
    ours = set(packages()) - {"migrations"}
    told = {name.partition(".")[0] for path in modules("migrations") for name in imported(path)}
    assert told & ours == set()


def test_the_wheel_ships_every_package_with_its_sql_and_policies() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    wanted = {
        place(path)
        for package in packages()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".cedar", ".cedarschema", ".mako"}
    }
    assert wanted - shipped == set()


def test_the_tests_are_not_shipped() -> None:
    shipped = WheelBuilder(str(ROOT)).recurse_included_files()
    assert {file.distribution_path.partition("/")[0] for file in shipped} <= set(packages())


def test_no_file_names_a_package_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--index-url" not in lock
    assert "://" not in lock


def test_the_type_checker_sees_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(packages()) <= set(settings["tool"]["pyright"]["include"])
    assert set(packages()) - {"migrations"} <= set(settings["tool"]["coverage"]["run"]["source"])


def _mocks(path: Path) -> bool:
    return "mock" in path.read_text(encoding="utf-8") and any(
        name.split(".")[:2] == ["unittest", "mock"] for name in imported(path)
    )
