"""Lists that pages promise to be whole: the terms of the glossary, events and commands, what operations ask for."""

import re

from songline.api.operations import OPERATIONS, Operation
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


def test_every_operation_is_told_with_what_it_asks_for() -> None:
    table = [
        ([_pattern(span) for span in re.findall(r"`([^`]+)`", row[0])], set(re.findall(r"`([a-z:]+)`", row[1])))
        for row in rows("docs/identity.md", "operations")
    ]

    def is_told(path: str, operation: Operation) -> bool:
        scopes = {str(scope) for scope in operation.scopes}
        return any(
            scopes <= named and (scopes or not named or operation.is_of_players)
            for patterns, named in table
            if any(re.fullmatch(pattern, path) for pattern in patterns)
        )

    assert [key for key, operation in OPERATIONS.items() if not is_told(key[1], operation)] == []


def test_every_page_of_health_is_told_to_operators() -> None:
    told = {row[0].strip("`") for row in rows("docs/operations.md", "path")}
    assert {path for _, path in OPERATIONS if path.startswith("/health/")} <= told


def _pattern(span: str) -> str:
    """A pattern of the paths that a row names: of all of a folder where it ends in `…`."""
    path = re.escape(span.partition(" ")[2] if " " in span else span)
    return re.sub(r"\\{\w+\\}", r"{\\w+}", path).replace("…", ".*")
