"""In which order processes of pytest that share the work begin test files."""

from collections.abc import Sequence
from itertools import islice

LONGEST = (
    "integration/songline/test_up.py",
    "integration/songline/test_audit.py",
    "browser/",
    "integration/catalog/test_worker.py",
    "integration/uploads/test_commands.py",
    "chaos/",
)
BETWEEN = 4
"""Files that are begun after each of the longest, so that these don't all want the machine at the same time."""
COMPUTING = 2
"""Unit tests' files after each other one: unit tests compute all the time, and others wait a third of theirs."""


def in_order(files: Sequence[str]) -> list[str]:
    """The longest files spread among those that wait, integration first; unit tests among both, and at the end."""
    longest = [name for part in LONGEST for name in files if f"tests/{part}" in name]
    computing = [name for name in files if "/unit/" in name]
    waiting = [name for name in files if name not in {*longest, *computing}]
    waiting.sort(key=lambda name: "tests/integration/" not in name)
    long, short = iter(longest), iter(computing)
    order: list[str] = []
    for place, name in enumerate(waiting):
        if place % BETWEEN == 0:
            order += islice(long, 1)
        order += [name, *islice(short, COMPUTING)]
    return [*order, *long, *short]
