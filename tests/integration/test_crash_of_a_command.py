"""What a command shows of a crash that comes before it begins."""

import subprocess
import sys

PROGRAM = """
import sys
planted = "hunter2-of-the-tests"
sys.modules["sallyport.commands.tenant"] = None
from sallyport.cli import main
main(["tenant", "list", planted])
"""


def test_a_crash_shows_where_it_was_and_no_local_variable() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "import_module" in done.stderr
    assert "hunter2" not in done.stderr
