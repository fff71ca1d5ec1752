"""The index of decisions names every record with its status."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
STATUS = re.compile(r"\*(Accepted, 20\d\d-\d\d-\d\d(?:, rewritten 20\d\d-\d\d-\d\d)?)\.\*")


def test_the_index_names_every_record_with_its_title_and_status() -> None:
    rows = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \| (.+) \|$", (DECISIONS / "README.md").read_text(), re.MULTILINE
    )
    expected = []
    for record in sorted(DECISIONS.glob("0*.md")):
        title, _, status = record.read_text().splitlines()[:3]
        found = STATUS.fullmatch(status)
        assert found is not None, f"{record.name}: expected its status and date in the third line, saw {status!r}"
        name = re.sub(r"^# (\d+\.? )?", "", title)
        expected.append((record.name[:4], record.name, name, found[1].replace("Accepted", "accepted")))
    assert rows == expected
