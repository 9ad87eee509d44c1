"""Draws a page with chromium, as large as it is; there is no network."""  # noqa: INP001 - a script's

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

MEASURE: Final = (
    "<script>const of = document.body; document.title = "
    "Math.ceil(of.offsetWidth) + ' ' + Math.ceil(of.offsetHeight)</script>"
)
"""Ends a page's body: it tells how large the picture has to be."""

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-device-scale-factor=1.5",
)
_SIZE: Final = re.compile(r"<title>(\d+) (\d+)</title>")


def put(page: str, *, target: Path) -> None:
    """Write a page down as a picture; as a page where there is no browser, or ``--html`` asks."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if "--html" in sys.argv or browser is None:
        target = target.with_suffix(".html")
        target.write_text(page, "utf-8")
    else:
        _draw(page, browser=browser, target=target)
    sys.stdout.write(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes\n")


def _draw(page: str, *, browser: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page, "utf-8")
        run = (browser, *_FLAGS, f"--user-data-dir={folder}/profile")
        dom = subprocess.run(  # noqa: S603 - our own page
            [*run, "--dump-dom", source.as_uri()], check=True, capture_output=True, text=True
        )
        size = _SIZE.search(dom.stdout)
        width, height = size.groups() if size else ("760", "900")
        subprocess.run(  # noqa: S603 - our own page
            [*run, f"--window-size={width},{height}", f"--screenshot={target}", source.as_uri()],
            check=True,
            capture_output=True,
        )
    smaller = shutil.which("pngquant")
    if smaller:
        command = [smaller, "--force", "--strip", "--output", str(target), "64", str(target)]
        subprocess.run(command, check=True)  # noqa: S603 - our own picture
