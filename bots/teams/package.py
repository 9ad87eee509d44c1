"""The app package: the manifest and the icons in one file, as Teams takes them in."""

import io
import json
import re
import zipfile
from typing import Final
from urllib.parse import urlsplit

from bots.teams.icons import color_icon, outline_icon
from bots.teams.manifest import (
    COLOR_ICON,
    FIRST_VERSION,
    NAME,
    OUTLINE_ICON,
    manifest,
)
from core.domain.canonical import JsonObject
from core.domain.chat import entra_id
from core.errors import InvalidInput

_LONGEST_NAME: Final = 30
_LONGEST_URL: Final = 1000
_VERSION: Final = re.compile(r"(?:0|[1-9]\d{0,5})(?:\.(?:0|[1-9]\d{0,5})){2}", re.ASCII)
_HOST: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# The same app is the same bytes, whenever it was packed: the first day that a zip file can name.
_PACKED_AT: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16


def package(
    *,
    app_id: str,
    url: str,
    name: str = NAME,
    version: str = FIRST_VERSION,
    hears_replies: bool = False,
) -> bytes:
    """Return the zip file to be uploaded to Teams; see ``manifest`` for what is asked.

    Raises:
        InvalidInput: ``teams_package_invalid``: Teams would not take it.
    """
    _check(app_id=app_id, url=url, name=name, version=version)
    document = manifest(
        app_id=app_id, url=url, name=name, version=version, hears_replies=hears_replies
    )
    return zipped(
        {
            "manifest.json": _as_json(document),
            COLOR_ICON: color_icon(),
            OUTLINE_ICON: outline_icon(),
        }
    )


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip file with these files by name, always the same for the same."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=_PACKED_AT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _READABLE
            archive.writestr(entry, content)
    return packed.getvalue()


def _as_json(document: JsonObject) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _check(*, app_id: str, url: str, name: str, version: str) -> None:
    if entra_id(app_id) != app_id:
        raise _invalid("the app's id is none of Entra's")
    if not len(name.strip()) >= 1 or len(name) > _LONGEST_NAME or not name.isprintable():
        raise _invalid(f"a name has 1 to {_LONGEST_NAME} characters")
    if _VERSION.fullmatch(version) is None:
        raise _invalid("a version is three numbers, such as 1.0.0")
    if len(url) > _LONGEST_URL or _HOST.fullmatch(url) is None:
        raise _invalid("the address is https://HOST, without a path")
    told = urlsplit(url)
    if told.scheme != "https" and told.hostname not in _LOOPBACK:
        raise _invalid("Teams reaches what is not on this machine over https alone")


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput("teams_package_invalid", detail=detail)
