"""The pictures of docs/publishing.md show the transitions that the code has."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from songline.producers.publishing.state import PUBLISHER_TRANSITIONS, SENDER_TRANSITIONS, SPILLOVER_TRANSITIONS

PAGE = Path(__file__).parents[2] / "docs" / "publishing.md"
_ARROW = re.compile(r"^ +(\w+) --> (\w+): ([\w ]+)$")


def diagrams() -> list[list[tuple[str, str, str]]]:
    """The arrows of each state diagram: from, to, trigger."""
    blocks = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE.read_text(), re.DOTALL)
    arrows = []
    for block in blocks:
        found = [_ARROW.match(line) for line in block.splitlines()]
        assert all(found), block
        arrows.append([(arrow[1], arrow[2], arrow[3]) for arrow in found if arrow])
    return arrows


@pytest.mark.parametrize(
    ("index", "table"), list(enumerate([PUBLISHER_TRANSITIONS, SENDER_TRANSITIONS, SPILLOVER_TRANSITIONS]))
)
def test_a_diagram_shows_every_transition_and_no_other(index: int, table: Mapping[tuple[str, str], str]) -> None:
    drawn = diagrams()
    assert len(drawn) == 3
    assert sorted(drawn[index]) == sorted((str(at), str(after), trigger) for (at, trigger), after in table.items())
