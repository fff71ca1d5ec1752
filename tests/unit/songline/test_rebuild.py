"""`songline rebuild`: what is refused before any service is asked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from songline.cli import main
from songline.schemas.policy import shipped_text

CALM = shipped_text().replace('"songline"', '"calm"')


@pytest.mark.parametrize(
    ("projection", "policy", "words"),
    [
        ("charts", CALM.replace("like = 4", "like = -9"), "weights.like: saw -9, expected a whole number, at least 0"),
        ("plays", CALM, "songs' plays are counted by the rules of the live charts"),
        ("library", CALM, "--policy is of charts, not of library"),
        ("chart", CALM, "'chart' is not one of"),
    ],
)
def test_a_policy_that_can_not_be_used_is_said_so(
    projection: str, policy: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(policy)
    with pytest.raises(SystemExit) as end:
        main(["rebuild", projection, "--policy", str(file)])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("when", ["yesterday", "now", "tomorrow"])
def test_a_time_that_can_not_be_used_is_said_so(when: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The name of a test is the same in every process: no moment is in it.
    moments = {"now": datetime.now(UTC), "tomorrow": datetime.now(UTC) + timedelta(days=1)}
    until = moments[when].isoformat() if when in moments else when
    with pytest.raises(SystemExit) as end:
        main(["rebuild", "charts", "--until", until])
    assert end.value.code == 2
    assert until.partition("+")[0] in capsys.readouterr().err
