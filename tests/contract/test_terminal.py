"""How commands end: full disks, readers who leave, terminals without signs, signals, other people's paths."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from songline.cli import COMMANDS, main
from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import SongLiked
from tests.support.api import ApiProcess

READS = [["chart", "top", "1h"], ["songs"], ["library", "user-1"], ["library", "user-1", "--recent"]]
EVENT = encode(examples.EVENTS[SongLiked])
JSON = [[*words, "--json"] for words in READS]


def environment(address: str, folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "SONGLINE_API": address, "SONGLINE_DATA": str(folder), **more}


def run(words: Sequence[str], environ: dict[str, str], **options: object) -> "subprocess.CompletedProcess[str]":
    settings = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 60, **options}
    return subprocess.run([sys.executable, "-m", "songline", *words], env=environ, check=False, **settings)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("words", [READS[0], JSON[1], ["simulate", "--out", "-", "--count", "20000"]])
def test_a_full_disk_is_told_in_one_line(address: str, tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(words, environment(address, tmp_path), capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 74, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    "words", [READS[0], JSON[1], ["simulate", "--out", "-", "--count", "9"], ["publish"], ["--help"]]
)
def test_streams_that_are_closed_are_no_fault(address: str, tmp_path: Path, words: list[str]) -> None:
    told = tmp_path / "told"
    shell = 'exec "$@" <&- >&- 2>' + str(told)
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", "songline", *words]
    done = subprocess.run(command, env=environment(address, tmp_path), check=False, timeout=60)
    assert done.returncode == (2 if words == ["publish"] else 0)
    assert len(told.read_text().splitlines()) == (1 if words == ["publish"] else 0)
    all_closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "songline", *words]
    assert (
        subprocess.run(all_closed, env=environment(address, tmp_path), check=False, timeout=60).returncode
        == done.returncode
    )


def test_a_pipe_is_no_song(tmp_path: Path) -> None:
    # Nobody may ever write into it, and what was read of it can't be sent again.
    os.mkfifo(tmp_path / "song.wav")
    result = CliRunner(env={"SONGLINE_DATA": str(tmp_path)}).invoke(main, ["upload", str(tmp_path / "song.wav")])
    assert result.exit_code == 2
    assert "song.wav is a pipe or a device, expected a file or a folder" in result.output


@pytest.mark.parametrize("words", [READS[0], READS[2], JSON[1], ["ingestion", "no-such"]])
def test_a_terminal_without_signs_gets_what_it_can_show(api: ApiProcess, tmp_path: Path, words: list[str]) -> None:
    terminal = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environ = environment(api.address, tmp_path, **terminal, SONGLINE_TOKEN=token_of(api))
    done = run(words, environ)
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if words[0] == "ingestion" else 0), done.stderr
    if "--json" in words:
        assert json.loads(done.stdout)


def test_a_reader_who_leaves_ends_it_without_a_word(address: str, tmp_path: Path) -> None:
    environ = environment(address, tmp_path)
    for words in (READS[0], ["simulate", "--out", "-", "--count", "20000"]):
        with subprocess.Popen(
            [sys.executable, "-m", "songline", *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
        assert (process.returncode, said) == (0, b"")


def test_signals_end_it_with_their_codes(address: str, tmp_path: Path) -> None:
    hub = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=R;SharedAccessKey=S;UseDevelopmentEmulator=true"
    environ = environment(address, tmp_path, AZURE_EVENTHUB_CONNECTIONSTRING=hub)
    watch = ["chart", "top", "1h", "--watch", "--json"]
    asked = [(signal.SIGINT, ["publish"], 130), (signal.SIGTERM, ["publish"], 143), (signal.SIGINT, watch, 0)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "songline", *words],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _, words, _ in asked
    ]
    with ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        for process, (number, words, code) in zip(started, asked, strict=True):
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            if words == watch:
                process.stdout.readline()
            else:
                process.stdin.write(EVENT + b"\n")
                process.stdin.flush()
                # It counts what it has sent, every five seconds: then it is at work.
                process.stderr.readline()
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            assert process.returncode == code, said
            assert b"Traceback" not in said


@pytest.mark.parametrize("odd", ["x/../y", "..", ".", "a b", "x%2Fy", "?limit=1", "#", "é", "\x1b[31m"])
@pytest.mark.parametrize("command", ["library", "ingestion"])
def test_a_word_is_one_part_of_a_path(address: str, tmp_path: Path, command: str, odd: str) -> None:
    result = CliRunner().invoke(main, [command, "--json", "--api", address, "--", odd])
    assert result.exit_code == 2, result.output
    assert "Error: " in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_argument_that_is_no_text_is_told(address: str, tmp_path: Path, command: str) -> None:
    odd = os.fsdecode(b"\xff")
    words = {"chart": ["top", "1h", "--scope", odd], "publish": ["--liked", odd, "s"], "up": ["--rate", odd]}
    words |= {
        "simulate": ["--start", odd, "--out", "-"],
        "doctor": [odd],
        "dlq": [odd],
        "upload": ["--user", odd, __file__],
    }
    result = CliRunner(env={"SONGLINE_API": address, "SONGLINE_DATA": str(tmp_path)}).invoke(
        main, [command, *words.get(command, [odd])]
    )
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((EVENT + b"\n").decode().encode("utf-16") * 1_000, "UTF-16"),
        (gzip.compress(EVENT * 1_000), "gunzip"),
        (b"[" + b",\n".join([EVENT] * 1_000) + b"]", "jq -c '.[]'"),
        (b"", "empty"),
        (os.urandom(100_000).replace(b"{", b"\x00"), "binary"),
    ],
)
def test_a_file_that_is_no_ndjson_is_told_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a file"
    path.write_bytes(content if said != "binary" else b"\x01\x00\x02" + content)
    result = CliRunner(env={"SONGLINE_DATA": str(tmp_path)}).invoke(main, ["publish", str(path)])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.splitlines()) == 1


def test_so_is_what_comes_by_a_pipe(tmp_path: Path) -> None:
    hub = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=R;SharedAccessKey=S;UseDevelopmentEmulator=true"
    environ = environment("http://127.0.0.1:9", tmp_path, AZURE_EVENTHUB_CONNECTIONSTRING=hub)
    done = run(["publish", "-"], environ, input="[" + EVENT.decode() + ",\n" + EVENT.decode() + "]")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("Error: standard input is a JSON array")


def test_a_folder_is_no_file_of_events(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["publish", str(tmp_path)])
    assert result.exit_code == 2
    assert "is a directory" in result.output


def test_a_name_on_disk_that_is_no_text_is_told_and_the_file_goes_in(api: ApiProcess, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"old \xe9 folder")
    folder.mkdir()
    for name in (b"caf\xe9.wav", b"new\nline.wav", b"\x1b[31m.wav", "fine é.wav".encode()):
        (folder / os.fsdecode(name)).write_bytes(b"RIFF" + name)
    runner = CliRunner(env={"SONGLINE_DATA": str(tmp_path / "data"), "SONGLINE_TOKEN": token_of(api)})
    words = ["upload", "--no-wait", "--user", "u", "--api", api.address, str(folder)]
    for _ in range(2):
        result = runner.invoke(main, words)
        assert result.exit_code == 0, result.output
        assert "4 accepted" in result.output
        assert "caf\\xe9.wav" in result.output
        assert "\x1b" not in result.output
    journal = (tmp_path / "data" / "uploads.ndjson").read_bytes()
    assert len([line for line in journal.splitlines() if line]) == 4
    (found,) = [one for one in map(json.loads, filter(None, journal.splitlines())) if "caf" in one["file"]["path"]]
    assert "old \\xe9 folder" in found["file"]["path"]


def token_of(api: ApiProcess) -> str:
    """A token with all scopes, as a command has it from SONGLINE_TOKEN."""
    return api.headers["Authorization"].removeprefix("Bearer ")
