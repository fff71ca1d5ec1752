"""The causes of "not ready", and the table of them that operators read."""

import re
from pathlib import Path

from songline.schemas.progress_report import MENDS, NotReadyCause

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def rows() -> dict[str, str]:
    """The table of causes: what mends each, as plain text."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("### Not ready")
    section, _, _ = rest.partition("\n## ")
    found = re.findall(r"^\| `([a-z-]+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    return {cause: mend.replace("`", "") for cause, mend in found}


def test_the_table_lists_every_cause_with_what_mends_it() -> None:
    assert rows() == {cause.value: MENDS[cause].format(worker="WORKER").replace("`", "") for cause in NotReadyCause}
