"""Lists that pages promise to be whole: the terms of the glossary, events and commands, what operations ask for."""

import re

from songline.schemas.commands import COMMANDS
from songline.schemas.events import EVENTS
from tests.support.pages import ROOT


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the table whose first heading that is, by row."""
    table = (ROOT / page).read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    found = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    assert len(found) > 4, f"{page} has no such table"
    return found


def test_a_term_is_in_the_glossary_once_and_where_it_is_looked_for() -> None:
    terms = [row[0] for row in rows("docs/glossary.md", "term")]
    assert terms == sorted(set(terms))


def test_every_event_and_command_is_among_the_communications() -> None:
    told = {name for row in rows("README.md", "communication") for name in re.findall(r"`(\w+)`", row[1])}
    sent = {payload.__name__ for _, payload in (*EVENTS.values(), *COMMANDS.values())}
    assert sent <= told
