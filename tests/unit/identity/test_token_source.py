"""When a token is fetched, and where one comes from that is given."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from songline.cloud.settings import Secret
from songline.identity.access_token import AccessToken
from songline.identity.settings import ISSUER, TOKEN, TOKEN_FILE
from songline.identity.token_source import TokenSource, token_source
from songline.sending.exits import CommandError


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0


def numbered(lasts_s: float) -> Callable[[], AccessToken]:
    """Gives the tokens `1`, `2` and so on."""
    numbers: Iterator[int] = iter(range(1, 100))
    return lambda: AccessToken(Secret(next(numbers)), lasts_s)


@pytest.mark.parametrize(("lasts_s", "replaced_after_s"), [(3_600, 3_540), (240, 180), (40, 30), (0, 0)])
def test_a_token_is_fetched_once_and_again_before_it_expires(lasts_s: float, replaced_after_s: float) -> None:
    clock = Clock()
    source = TokenSource(numbered(lasts_s), "a token", lambda: clock.now_s)
    assert source.token() == "1"
    if replaced_after_s:
        clock.now_s += replaced_after_s - 0.001
        assert source.token() == "1"
        clock.now_s += 0.001
    assert source.token() == "2"


def test_a_token_is_good_from_when_it_was_asked_for() -> None:
    clock = Clock()

    def slow() -> AccessToken:
        clock.now_s += 3_000
        return AccessToken(Secret(f"at {clock.now_s:.0f}"), 3_600)

    source = TokenSource(slow, "a token", lambda: clock.now_s)
    assert source.token() == "at 4000"
    clock.now_s += 540
    assert source.token() == "at 7540"


def test_a_refused_token_is_forgotten_and_not_the_one_that_came_after_it() -> None:
    source = TokenSource(numbered(3_600), "a token")
    assert source.token() == "1"
    source.forget("1")
    assert source.token() == "2"
    source.forget("1")
    assert source.token() == "2"


def test_the_file_of_an_option_goes_before_settings_and_those_before_the_issuer(tmp_path: Path) -> None:
    option, setting = tmp_path / "option", tmp_path / "setting"
    option.write_text("of-option\n")
    setting.write_text("of-setting")
    environ = {TOKEN: "of-variable", TOKEN_FILE: str(setting), ISSUER: "http://127.0.0.1:9"}
    assert token_source(environ, option).token() == "of-option"
    assert token_source(environ).token() == "of-variable"
    assert token_source({**environ, TOKEN: ""}).token() == "of-setting"


def test_a_file_is_read_again_when_its_token_was_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    source = token_source({TOKEN_FILE: str(file)})
    assert source.token() == "first"
    file.write_text("second")
    assert source.token() == "first"
    source.forget("first")
    assert source.token() == "second"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"{TOKEN_FILE}: saw 0 characters that are no token, expected an access token alone"),
        ("Bearer secret-1", "15 characters"),
        ("secret-1\r\nX-Other: 1", "20 characters"),
        ("secr\u00e9t-1", "8 characters"),
        ("s" * 16_385, "16,385 characters"),
    ],
)
def test_what_is_no_token_is_said_without_a_word_of_it(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(CommandError) as refused:
        token_source({TOKEN_FILE: str(file)}).token()
    assert said in refused.value.message
    assert "secr" not in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none': No such file or directory, expected a file with an access token"):
        token_source({TOKEN_FILE: str(tmp_path / "none")}).token()
