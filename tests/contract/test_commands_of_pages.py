"""Commands that pages show exist: those of `songline`, targets of make, modules that Python runs or imports."""

import logging
import os
import pkgutil
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from songline.cli import main
from songline.processes.environment import DATA
from tests.support import pages
from tests.support.pages import ROOT, Example

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What a shell does with a command's words is no matter here: only which words it gets.
SUBSTITUTION = re.compile(r"<\([^)]*\)")
INNER = re.compile(r"[$<]\(([^()]*)\)")
STARTS = {"up", "audit", "simulate"}
SEPARATORS = {"|", ";", "&", "&&"}


def words(text: str) -> Iterator[list[str]]:
    """The words of each command of a line, without settings before it; first of those whose output it takes."""
    for inner in INNER.findall(text):
        yield from words(inner)
    lexer = shlex.shlex(SUBSTITUTION.sub("my-events.ndjson", text), posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in SEPARATORS:
            command.append(word)
        elif command:
            while "=" in command[0]:
                del command[0]
            yield command
            command = []


def of(program: str) -> list[tuple[Example, list[str]]]:
    return [
        (command, found[1:])
        for command in pages.commands()
        if program in command.text
        for found in words(command.text)
        if found[0] == program
    ]


def parse(command: click.Command, arguments: Sequence[str], parent: click.Context | None = None) -> None:
    """Have click take the arguments as it would, and run nothing."""
    if isinstance(command, click.Group) and not arguments[0].startswith("-"):
        with click.Context(command, parent=parent, info_name=command.name) as context:
            found = command.get_command(context, arguments[0])
            assert found is not None, f"`{arguments[0]}` is no command of `{context.command_path}`"
            parse(found, arguments[1:], context)
    else:
        # `--help` and `--version` end the command by an Exit, which is no fault.
        with suppress(click.exceptions.Exit):
            command.make_context(command.name, list(arguments), parent)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that examples name."""
    for name in (
        "song.mp3",
        "my-events.ndjson",
        "events.ndjson",
        "history.zip",
        "my_spotify_data.zip",
        "scrobbles.csv",
    ):
        (tmp_path / name).touch()
    (tmp_path / "Music").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("example", "arguments"), of("songline"), ids=str)
def test_a_command_of_songline_parses(example: Example, arguments: list[str]) -> None:
    parse(main, [word.replace("~/", "") for word in arguments])


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("example", "arguments"),
    [(example, found) for example, found in of("songline") if found and found[0] not in STARTS],
    ids=str,
)
def test_a_command_of_songline_asks_for_a_system_alone(
    example: Example, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What click does not check by itself, such as one of two options: the command is run where there is no system."""
    for name in [name for name in os.environ if name.startswith(("AZURE_", "SONGLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(DATA, "nothing")
    # A command may turn logging down for its process.
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    done = CliRunner().invoke(main, [word.replace("~/", "") for word in arguments])
    assert "Usage: " not in done.output or done.exit_code == 0 or "saw nothing" in done.output, done.output


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("arguments", ["nothing", "chart best 1h", "chart top 1h --watched", "dlq show x"])
def test_what_is_no_command_of_songline_is_found(arguments: str) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        parse(main, arguments.split())


def named() -> list[tuple[str, str]]:
    return sorted({(page, text) for page, text in pages.spans() if text.startswith("songline ") and "…" not in text})


@pytest.mark.parametrize(("page", "text"), named())
def test_a_command_in_a_sentence_is_there_with_its_options(page: str, text: str) -> None:
    """A sentence may leave arguments out, so options alone are held to the command."""
    command: click.Command = main
    context = click.Context(main)
    found = shlex.split(text)[1:]
    while isinstance(command, click.Group) and found and not found[0].startswith("-"):
        known = command.get_command(context, found.pop(0))
        assert known is not None
        command = known
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    assert {word for word in found if word.startswith("--")} <= options


def made() -> list[tuple[str, str]]:
    shown = [(str(example), word) for example, arguments in of("make") for word in arguments]
    told = [(page, word) for page, text in pages.spans() if text.startswith("make ") for word in shlex.split(text)[1:]]
    return sorted({(page, word) for page, word in (*shown, *told) if not set("=…") & set(word)})


@pytest.mark.parametrize(("page", "target"), made())
def test_a_target_of_make_is_there(page: str, target: str) -> None:
    assert target in TARGETS


def modules() -> list[tuple[str, str]]:
    texts = [(str(block), block.text) for block in pages.blocks()] + list(pages.spans())
    return sorted({(page, name) for page, text in texts for name in re.findall(r"python -m ([\w.]+)", text)})


@pytest.mark.parametrize(("page", "module"), modules())
def test_a_module_that_is_run_is_there(page: str, module: str) -> None:
    path = ROOT / "packages/localcloud/src" if module.startswith("localcloud") else ROOT
    assert (path / module.replace(".", "/") / "__main__.py").exists() or (
        path / f"{module.replace('.', '/')}.py"
    ).exists()


def dotted() -> list[tuple[str, str]]:
    """Each page with each module, class or function that it names by its import; types of events look alike."""
    imported = re.compile(r"songline\.(?:api|cloud|processes|processors|producers|projections|schemas)(?:\.\w+)+")
    found = [(page, imported.match(text)) for page, text in pages.spans()]
    return sorted({(page, name[0]) for page, name in found if name})


@pytest.mark.parametrize(("page", "name"), dotted())
def test_a_dotted_name_is_there(page: str, name: str) -> None:
    pkgutil.resolve_name(name)
