"""Parameters and credentials of OpenSubsonic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.players.opensubsonic.answer import AnswerFormat
from songline.players.opensubsonic.credentials import ApiKey, SaltedProof, read_credentials
from songline.players.opensubsonic.errors import OpenSubsonicError
from songline.players.opensubsonic.parameters import MAX_FIELDS, Parameters


def read(query: str, form: str = "") -> Parameters:
    return Parameters.read(query.encode(), form.encode())


def code_of(query: str) -> int:
    with pytest.raises(OpenSubsonicError) as caught:
        read_credentials(read(query))
    return caught.value.code


def test_query_and_form_say_the_same_things() -> None:
    found = read("id=1&f=json", "id=2&id=3&query=%E2%82%AC+x&empty=")
    assert found.texts("id") == ("1", "2", "3")
    assert found.text("id") == "1"
    assert found.text("query") == "€ x"
    assert found.text("empty") == ""
    assert found.texts("empty") == ()
    assert found.text("other") is None
    assert found.form is AnswerFormat.JSON
    assert read("").form is AnswerFormat.XML


@pytest.mark.parametrize("query", ["id=%ff", "id=\xff", "&".join(["id=1"] * (MAX_FIELDS + 1))])
def test_what_can_not_be_read_is_refused(query: str) -> None:
    with pytest.raises(OpenSubsonicError) as caught:
        Parameters.read(query.encode("latin-1"))
    assert caught.value.code == 0


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(query: bytes, form: bytes) -> None:
    try:
        found = Parameters.read(query, form)
        assert found.form in AnswerFormat
    except OpenSubsonicError:
        return
    assert all(isinstance(value, str) for values in found.values.values() for value in values)


@pytest.mark.parametrize(("text", "count"), [("7", 7), ("0", 0), ("501", 500), ("999999999999", 500), ("", 20)])
def test_numbers(text: str, count: int) -> None:
    assert read(f"songCount={text}").number("songCount", 20, 500) == count


@pytest.mark.parametrize("text", ["-1", "1.5", "ten", "1e3", "%D9%A3", "9" * 30])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(OpenSubsonicError, match="songCount: saw"):
        read(f"songCount={text}").number("songCount", 20, 500)


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("False", False), ("1", True), ("0", False), ("", True)])
def test_flags(text: str, flag: bool) -> None:
    assert read(f"submission={text}").flag("submission", default=True) is flag


def test_what_is_missing_has_its_code() -> None:
    for query in ("", "id="):
        with pytest.raises(OpenSubsonicError) as caught:
            read(query).required("id")
        assert caught.value.code == 10
    with pytest.raises(OpenSubsonicError, match="true or false"):
        read("submission=maybe").flag("submission", default=True)
    with pytest.raises(OpenSubsonicError, match="xml or json"):
        assert read("f=jsonp").form


def test_credentials() -> None:
    assert read_credentials(read("apiKey=key&c=x&v=1.16.1")) == ApiKey("key")
    assert read_credentials(read("u=ada&t=beef&s=salt")) == SaltedProof("ada", "salt", "beef")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 10),
        ("c=x&v=1.16.1", 10),
        ("u=ada", 10),
        ("u=ada&t=beef", 10),
        ("t=beef&s=salt", 10),
        ("u=ada&p=secret", 42),
        ("u=ada&p=enc:736563726574", 42),
        ("p=secret", 42),
        ("u=ada&p=secret&t=beef&s=salt", 43),
        ("apiKey=key&u=ada", 43),
        ("apiKey=key&p=secret", 43),
        ("apiKey=key&u=ada&t=beef&s=salt", 43),
        ("apiKey=&u=", 43),
        ("apiKey=key&apiKey=other", 43),
        ("u=ada&u=eve&t=beef&s=salt", 43),
    ],
)
def test_credentials_that_are_none_have_the_protocols_codes(query: str, code: int) -> None:
    assert code_of(query) == code


def test_no_error_shows_a_secret() -> None:
    for query in ("u=ada&p=hunter2", "apiKey=hunter2&u=ada", "u=ada&p=hunter2&t=hunter2&s=hunter2"):
        with pytest.raises(OpenSubsonicError) as caught:
            read_credentials(read(query))
        assert "hunter2" not in caught.value.message
