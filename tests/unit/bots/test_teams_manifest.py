"""The manifest says what the app needs, within Teams' limits; the package is one it takes."""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from bots.teams.icons import color_icon, outline_icon
from bots.teams.manifest import ASK_SHORTCUT, manifest, resource_of
from bots.teams.package import package
from core.errors import InvalidInput

APP = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002"
URL = "https://agents.acme.test"

Json = dict[str, Any]  # Any: a document, looked into by the test

TOP = {
    "$schema",
    "manifestVersion",
    "version",
    "id",
    "developer",
    "name",
    "description",
    "icons",
    "accentColor",
    "defaultInstallScope",
    "bots",
    "composeExtensions",
    "staticTabs",
    "permissions",
    "validDomains",
    "webApplicationInfo",
    "authorization",
}
"""Keys of schema 1.29 that we use: it takes no other than its own."""


def told(*, hears_replies: bool = False) -> Json:
    document = manifest(app_id=APP, url=URL, hears_replies=hears_replies)
    return json.loads(json.dumps(document))


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:  # pyright: ignore[reportUnknownVariableType] - JSON
                yield from texts(one)  # pyright: ignore[reportUnknownArgumentType]
        case dict():
            yield from texts(list(value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        case _:
            pass


def test_what_the_schema_asks_for_is_there_and_nothing_that_it_does_not_know() -> None:
    document = told(hears_replies=True)
    assert set(document) == TOP
    assert document["$schema"].endswith(
        f"/v{document['manifestVersion']}/MicrosoftTeams.schema.json"
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["version"])
    assert re.fullmatch(r"#[0-9a-f]{6}", document["accentColor"])
    assert {"name", "websiteUrl", "privacyUrl", "termsOfUseUrl"} == set(document["developer"])


def test_what_teams_limits_is_within_its_limits() -> None:
    document = told()
    assert len(document["name"]["short"]) <= 30
    assert len(document["name"]["full"]) <= 100
    assert len(document["description"]["short"]) <= 80
    assert len(document["description"]["full"]) <= 4000
    assert len(document["developer"]["name"]) <= 32
    (tab,) = document["staticTabs"]
    assert len(tab["entityId"]) <= 64
    assert len(tab["name"]) <= 128
    (menu,) = document["composeExtensions"]
    (command,) = menu["commands"]
    assert len(command["id"]) <= 64
    assert len(command["title"]) <= 32
    assert len(command["description"]) <= 128
    (bot,) = document["bots"]
    assert len(bot["commandLists"]) <= 3
    for one in bot["commandLists"]:
        assert len(one["commands"]) <= 12
        for entry in one["commands"]:
            assert len(entry["title"]) <= 32
            assert len(entry.get("description", "")) <= 128
            assert len(entry.get("prompt", "")) <= 4000


def test_bot_menu_tab_and_sign_in_are_all_of_one_app() -> None:
    document = told()
    ids = [one for one in texts(document) if re.fullmatch(r"[0-9a-f-]{36}", one)]
    assert ids == [APP] * 4
    assert document["webApplicationInfo"]["resource"] == resource_of(APP, url=URL)
    assert resource_of(APP, url=URL) == f"api://agents.acme.test/{APP}"
    assert document["validDomains"] == ["agents.acme.test"]


def test_people_find_it_wherever_they_talk() -> None:
    document = told()
    (bot,) = document["bots"]
    assert set(bot["scopes"]) == {"personal", "team", "groupChat"}
    assert not bot["isNotificationOnly"]
    assert not bot["supportsFiles"]
    assert [one["scopes"] for one in bot["commandLists"]] == [["personal"], ["team", "groupChat"]]
    for one in bot["commandLists"]:
        basic = [entry["title"] for entry in one["commands"] if entry["type"] == "basic"]
        assert basic == ["runs", "approvals", "tools", "help"]
    alone, together = (one["commands"] for one in bot["commandLists"])
    assert sum(entry["type"] == "prompt" for entry in alone) == 3
    assert all(entry["type"] == "basic" for entry in together)


def test_any_message_can_be_asked_about() -> None:
    (menu,) = told()["composeExtensions"]
    (command,) = menu["commands"]
    assert (command["id"], command["type"]) == (ASK_SHORTCUT, "action")
    assert (command["context"], command["fetchTask"]) == (["message"], True)


def test_all_that_is_said_is_asked_for_only_where_somebody_wants_replies_heard() -> None:
    assert "authorization" not in told()
    asked = told(hears_replies=True)["authorization"]["permissions"]["resourceSpecific"]
    assert [(one["name"], one["type"]) for one in asked] == [
        ("ChannelMessage.Read.Group", "Application"),
        ("ChatMessage.Read.Chat", "Application"),
    ]


def test_the_package_holds_the_manifest_and_both_icons() -> None:
    packed = zipfile.ZipFile(io.BytesIO(package(app_id=APP, url=URL, name="Acme's agent")))
    assert packed.testzip() is None
    document = json.loads(packed.read("manifest.json"))
    assert document["name"] == {"short": "Acme's agent", "full": "Acme's agent"}
    assert set(packed.namelist()) == {"manifest.json", *document["icons"].values()}
    assert packed.read(document["icons"]["color"]) == color_icon()
    assert packed.read(document["icons"]["outline"]) == outline_icon()


def test_the_same_app_is_the_same_bytes() -> None:
    assert package(app_id=APP, url=URL) == package(app_id=APP, url=URL)
    assert package(app_id=APP, url=URL) != package(app_id=APP, url=URL, version="1.0.1")
    packed = zipfile.ZipFile(io.BytesIO(package(app_id=APP, url=URL)))
    assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def pixels_of(png: bytes) -> list[tuple[int, ...]]:
    """Return the pixels of a picture of ours; every chunk's sum is checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, dict[bytes, bytes]()
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (told_sum,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert told_sum == zlib.crc32(name + body)
        chunks[name] = body
        at += 12 + length
    wide, high, depth, colours, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (wide, depth, colours, rest) == (high, 8, 6, [0, 0, 0])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == high * (1 + wide * 4)
    flat = b"".join(rows[row * (1 + wide * 4) :][1 : 1 + wide * 4] for row in range(high))
    return [tuple(flat[place : place + 4]) for place in range(0, len(flat), 4)]


def test_the_icon_in_colour_is_192_pixels_each_way_and_shows_through_nowhere() -> None:
    pixels = pixels_of(color_icon())
    assert len(pixels) == 192 * 192
    assert {pixel[3] for pixel in pixels} == {255}
    assert pixels[0] == (0x1D, 0x2B, 0x3A, 255)
    assert (255, 255, 255, 255) in pixels


def test_the_outline_is_32_pixels_each_way_and_white_on_nothing() -> None:
    pixels = pixels_of(outline_icon())
    assert len(pixels) == 32 * 32
    assert {pixel[:3] for pixel in pixels} == {(255, 255, 255)}
    assert pixels[0][3] == 0
    assert {0, 255} <= {pixel[3] for pixel in pixels}
    # Something of the drawing is on every side of the middle.
    drawn = {(at // 32, at % 32) for at, pixel in enumerate(pixels) if pixel[3]}
    assert {row < 16 for row, _ in drawn} == {column < 16 for _, column in drawn} == {True, False}


@pytest.mark.parametrize("url", [URL, "http://localhost:3978", "http://127.0.0.1:8080"])
def test_it_is_reached_over_https_or_on_this_machine(url: str) -> None:
    packed = zipfile.ZipFile(io.BytesIO(package(app_id=APP, url=url)))
    document = json.loads(packed.read("manifest.json"))
    assert document["staticTabs"][0]["contentUrl"] == f"{url}/teams/tab"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://agents.acme.test"},
        {"url": "https://agents.acme.test/path"},
        {"url": "https://u:p@agents.acme.test"},
        {"url": "agents.acme.test"},
        {"url": f"https://{'a' * 1000}.test"},
        {"app_id": "acme"},
        {"app_id": APP.upper()},
        {"name": ""},
        {"name": "   "},
        {"name": "A" * 31},
        {"name": "A\u202eB"},
        {"version": "1.0"},
        {"version": "1.0.0-beta"},
        {"version": "01.0.0"},
    ],
    ids=str,
)
def test_what_teams_would_not_take_is_not_packed(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="teams_package_invalid"):
        package(**{"app_id": APP, "url": URL, **wrong})  # pyright: ignore[reportArgumentType] - texts
