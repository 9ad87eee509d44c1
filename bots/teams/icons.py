"""The app's two icons, drawn: a door in a door."""

import functools
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

COLOR_SIDE: Final = 192
OUTLINE_SIDE: Final = 32

_Pixel = tuple[int, int, int, int]

_GROUND: Final = (0x1D, 0x2B, 0x3A)
_WHITE: Final = (0xFF, 0xFF, 0xFF)
# The drawing is 24 units wide, as on the pages; lines are 2 units thick.
_UNITS: Final = 24.0
_HALF_LINE: Final = 1.0
_FLOOR: Final = 21.0


@functools.cache
def color_icon() -> bytes:
    """Return the icon in colour as PNG: 192 pixels each way, the drawing on 5/8 of them."""
    shades = _drawn(COLOR_SIDE, drawn=COLOR_SIDE * 5 / 8)
    return _png(COLOR_SIDE, pixels=(_mixed(shade) for shade in shades))


@functools.cache
def outline_icon() -> bytes:
    """Return the outline as PNG: 32 pixels each way, white on nothing, 7/8 of it drawn on."""
    shades = _drawn(OUTLINE_SIDE, drawn=OUTLINE_SIDE * 7 / 8)
    return _png(OUTLINE_SIDE, pixels=((*_WHITE, round(255 * shade)) for shade in shades))


def _mixed(shade: float) -> _Pixel:
    red, green, blue = (
        round(ground + (white - ground) * shade)
        for ground, white in zip(_GROUND, _WHITE, strict=True)
    )
    return red, green, blue, 255


def _drawn(side: int, *, drawn: float) -> Iterator[float]:
    """Yield how much of each pixel is line, from 0 to 1, row by row."""
    scale, margin = drawn / _UNITS, (side - drawn) / 2
    for row in range(side):
        for column in range(side):
            x, y = (column + 0.5 - margin) / scale, (row + 0.5 - margin) / scale
            yield min(1.0, max(0.0, 0.5 + (_HALF_LINE - _distance(x, y)) * scale))


def _distance(x: float, y: float) -> float:
    """Return how far a point is from the nearest line, in units."""
    return min(
        _from_arch(x, y, top=9.0, radius=8.0),
        _from_arch(x, y, top=12.0, radius=3.0),
        math.hypot(max(abs(x - 12.0) - 10.0, 0.0), y - _FLOOR),
    )


def _from_arch(x: float, y: float, *, top: float, radius: float) -> float:
    """Return how far a point is from two walls that a half circle joins, from ``top`` up."""
    if y < top:
        return abs(math.hypot(x - 12.0, y - top) - radius)
    return math.hypot(abs(x - 12.0) - radius, max(y - _FLOOR, 0.0))


def _png(side: int, *, pixels: Iterable[_Pixel]) -> bytes:
    """Return a square picture of 8 bits a channel, with alpha (PNG, ISO/IEC 15948)."""
    flat = [channel for pixel in pixels for channel in pixel]
    width = side * 4
    rows = b"".join(b"\0" + bytes(flat[at : at + width]) for at in range(0, side * width, width))
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
