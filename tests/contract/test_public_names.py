"""`from songline import …` is the public way in: each name is there, has its type, and costs nothing before its use."""

import subprocess
import sys
from typing import assert_type

import pytest

import songline
from songline import (
    Event,
    EventHubsSettings,
    EventPublisher,
    Outcome,
    SongPlayed,
    Statistics,
    Violation,
    read_eventhubs,
)
from songline.schemas.events import EVENTS


@pytest.mark.parametrize("name", songline.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(songline, name) is not None
    assert name in dir(songline)


def test_the_names_that_are_imported_are_those_that_are_told() -> None:
    assert sorted(songline._MODULE_OF) == sorted(songline.__all__)
    assert len(set(songline.__all__)) == len(songline.__all__)


def test_every_event_is_public() -> None:
    assert {payload.__name__ for _, payload in EVENTS.values()} <= set(songline.__all__)


def test_any_other_name_is_told_as_missing() -> None:
    with pytest.raises(AttributeError, match="module 'songline' has no attribute 'Publisher'"):
        _ = songline.Publisher


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, songline; print(*(name for name in sys.modules if name.startswith(('songline', 'azure'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["songline"]


async def types(publisher: EventPublisher, event: Event, violation: Violation) -> None:
    """Not run: mypy finds an error here where a public name is Any to it."""
    assert_type(await publisher.publish(event), Outcome)
    assert_type(publisher.statistics(), Statistics)
    assert_type(read_eventhubs({}), EventHubsSettings)
    assert_type(violation.rule, str)
    assert_type(SongPlayed(user_id="u", song_id="s", played_ms=1, duration_ms=1, region="DE").played_ms, int | None)
