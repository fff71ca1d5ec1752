"""`songline policy`: what it prints, and its exit code for a file that is no policy."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from songline.cli import main
from songline.schemas.policy import V1, parse_policy, shipped_text


def test_the_policy_that_ships_is_shown_as_a_file_that_is_one(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["policy", "show"], standalone_mode=False)
    assert shown.output == shipped_text()
    file = tmp_path / "mine.toml"
    file.write_text(shown.output.replace('"songline"', '"calm"').replace("like = 4", "like = 2"))
    checked = CliRunner().invoke(main, ["policy", "check", str(file)], standalone_mode=False)
    assert "calm-v1" in checked.output
    found = parse_policy(checked.output)
    assert found.weights.like == 2
    assert found.listen == V1.listen


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name = 3", ["name: saw 3", "expected text"]),
        (b"\xff", ["byte 0 is no UTF-8"]),
        (b"", ["expected", "required"]),
        (shipped_text().replace("like = 4", "like = -1").encode(), ["weights.like: saw -1, expected a whole number"]),
    ],
)
def test_a_file_that_is_no_policy_ends_in_one_line_and_code_2(
    content: bytes, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        main(["policy", "check", str(file)])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {file}: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words), said


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["policy", "check", str(tmp_path / "none.toml")])
    assert end.value.code == 2
    assert "none.toml" in capsys.readouterr().err
