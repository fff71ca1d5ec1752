"""How far a process stands back where processors are scarce."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from songline.processors.runtime.priority import LOWEST

SESSION = Path("/proc/self/autogroup")
PROGRAM = f"""
import os, sys
from pathlib import Path
from songline.processors.runtime.priority import stand_back
stand_back(int(sys.argv[1]))
group = Path({str(SESSION)!r})
print(os.nice(0), group.read_text().split()[-1] if group.exists() else "none")
"""


def niceness_after(steps: int, *, is_leader: bool) -> list[str]:
    """That of a process that stood back, and that of its session, `none` where sessions have none."""
    command = [sys.executable, "-c", PROGRAM, str(steps)]
    done = subprocess.run(command, start_new_session=is_leader, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("steps", [0, 3])
def test_one_that_leads_its_session_stands_back_with_all_of_it(steps: int) -> None:
    expected = str(min(os.nice(0) + steps, LOWEST)) if steps else str(os.nice(0))
    process, session = niceness_after(steps, is_leader=True)
    assert process == expected
    # A new session begins at 0, whatever the niceness of its process.
    assert session == (("0" if not steps else expected) if SESSION.exists() else "none")


def test_one_in_the_session_of_others_leaves_these_where_they_are() -> None:
    before = SESSION.read_text().split()[-1] if SESSION.exists() else "none"
    process, session = niceness_after(3, is_leader=False)
    assert process == str(min(os.nice(0) + 3, LOWEST))
    assert session == before
