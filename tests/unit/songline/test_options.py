"""What options take: numbers that can be counted with, folders that have a name. Over all commands."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from songline.cli import COMMANDS
from songline.commands import forget, up
from songline.options import Age
from songline.repair.parked_records import ParkedSelection
from songline.schemas.erasures import LONGEST_UNDO_WINDOW
from songline.schemas.parked import ParkedEntry

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, by its words."""

    def below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            for name, sub in command.commands.items():
                yield from below(f"{words} {name}", sub)

    for name in COMMANDS:
        yield from below(name, import_module(f"songline.commands.{name}").command)


NUMBERS = [
    (words, parameter)
    for words, command in commands()
    for parameter in command.params
    if isinstance(parameter.type, click.types.FloatParamType)
]


def test_there_are_options_that_take_numbers() -> None:
    assert {"up", "publish", "upload", "simulate"} <= {words for words, _ in NUMBERS}


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(("words", "option"), [pytest.param(*one, id=f"{one[0]} --{one[1].name}") for one in NUMBERS])
def test_no_command_takes_a_number_that_can_not_be_counted_with(words: str, option: click.Parameter, text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a finite number"):
        option.type.convert(text, option, None)


def folder(monkeypatch: pytest.MonkeyPatch, said: str | None, *arguments: str) -> Path:
    """The data folder that `up` takes where SONGLINE_DATA is as said."""
    monkeypatch.delenv("SONGLINE_DATA", raising=False)
    if said is not None:
        monkeypatch.setenv("SONGLINE_DATA", said)
    found = up.command.make_context("up", list(arguments)).params["data"]
    assert isinstance(found, Path)
    return found


def test_up_uses_the_folder_that_the_other_commands_look_into(monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder(monkeypatch, None) == Path(".local")
    assert folder(monkeypatch, "") == Path(".local")
    assert folder(monkeypatch, "/srv/songline") == Path("/srv/songline")
    assert folder(monkeypatch, "/srv/songline", "--data", "here") == Path("here")


def test_a_folder_without_a_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(click.BadParameter, match="the name of a folder is empty"):
        folder(monkeypatch, None, "--data", "")


@pytest.mark.parametrize("text", ["366d", "999999d", "999999h"])
def test_an_undo_window_is_a_year_at_most(text: str) -> None:
    done = CliRunner().invoke(forget.command, ["user-1", "--songs", "keep", "--undo-window", text, "--yes"])
    assert done.exit_code == 2
    assert f"saw {text}, expected 365d at most" in " ".join(done.output.split())
    assert Age(LONGEST_UNDO_WINDOW).convert("365d", None, None) == LONGEST_UNDO_WINDOW


def test_a_record_can_be_asked_for_that_is_older_than_any() -> None:
    age = Age().convert("999999d", None, None)
    entry = ParkedEntry(
        id="music-events:0:1",
        hub="music-events",
        partition="0",
        position=1,
        enqueued_at=NOW,
        body_bytes=2,
        complete=True,
        parked_at=NOW,
        readers={},
        state="parked",
    )
    assert not ParkedSelection(older_than=age).has(entry, NOW)
