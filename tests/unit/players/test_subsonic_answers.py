"""Answers of OpenSubsonic: one value as XML and as JSON."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.players.opensubsonic.answer import NAMESPACE, AnswerFormat, Content, written, written_error
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError

VERSION = "0.1.0"
SPACE = f"{{{NAMESPACE}}}"
NAMES = st.sampled_from(["id", "title", "isDir", "size", "song", "album", "value"])
# What an attribute of XML can have: no control, and no character that is none.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
SCALARS = st.one_of(TEXTS, st.integers(-(2**53), 2**53), st.booleans())


def contents() -> st.SearchStrategy[dict[str, Any]]:
    flat = st.dictionaries(NAMES, SCALARS, max_size=4)
    return st.recursive(
        flat,
        lambda inner: st.dictionaries(
            NAMES.filter(lambda name: name != "value"),
            st.one_of(SCALARS, inner, st.lists(inner, min_size=1, max_size=3), st.lists(TEXTS, min_size=1, max_size=3)),
            max_size=4,
        ),
        max_leaves=8,
    )


def as_json(content: Content) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(content, AnswerFormat.JSON, VERSION))["subsonic-response"]
    return found


def as_xml(content: Content) -> ElementTree.Element:
    return ElementTree.fromstring(written(content, AnswerFormat.XML, VERSION))


def shown(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def expected(tag: str, content: Any) -> tuple[Any, ...]:
    """The element of a value, by the rules of the protocol."""
    if not isinstance(content, dict):
        return tag, {}, shown(content), []
    attributes = {
        key: shown(one) for key, one in content.items() if key != "value" and not isinstance(one, dict | list)
    }
    text = shown(content["value"]) if "value" in content and not isinstance(content["value"], dict | list) else ""
    children = []
    for key, one in content.items():
        if isinstance(one, dict):
            children.append(expected(key, one))
        elif isinstance(one, list):
            children += [expected(key, each) for each in one]
    return tag, attributes, text, children


def seen(element: ElementTree.Element) -> tuple[Any, ...]:
    return element.tag.removeprefix(SPACE), dict(element.attrib), element.text or "", list(map(seen, element))


@given(contents())
def test_both_forms_say_the_same(content: dict[str, Any]) -> None:
    read = as_json({"found": content})
    assert read["found"] == content
    assert seen(as_xml({"found": content}))[3] == [expected("found", content)]


def test_an_answer_has_a_head() -> None:
    head = {"status": "ok", "version": "1.16.1", "type": "songline", "serverVersion": VERSION}
    assert as_json({}) == {**head, "openSubsonic": True}
    root = as_xml({})
    assert root.tag == f"{SPACE}subsonic-response"
    assert dict(root.attrib) == {**head, "openSubsonic": "true"}


def test_lists_truths_and_numbers() -> None:
    content: Content = {
        "openSubsonicExtensions": [{"name": "formPost", "versions": [1, 2]}],
        "genres": {"genre": [{"songCount": 2, "value": "r&b"}]},
    }
    root = as_xml(content)
    assert [one.text for one in root.iter(f"{SPACE}versions")] == ["1", "2"]
    (genre,) = root.iter(f"{SPACE}genre")
    assert (genre.text, genre.get("songCount")) == ("r&b", "2")
    assert as_json(content)["openSubsonicExtensions"][0]["versions"] == [1, 2]
    assert as_json({"artists": {"index": []}})["artists"] == {"index": []}


@pytest.mark.parametrize("text", ["a \"b\" <c> & 'd'", "zwei\nZeilen\tTab\r", "÷ 雨 \U0001f3b5", "]]>"])
def test_texts_arrive_as_they_are(text: str) -> None:
    assert as_xml({"song": {"title": text}})[0].get("title") == text
    assert as_xml({"genre": {"value": text}})[0].text in (text, text.replace("\r", "\n"))
    assert as_json({"song": {"title": text}})["song"]["title"] == text


@pytest.mark.parametrize("text", ["a\0b", "a\x1bb", "a\udc80b", "a\uffffb", "a\x0bb"])
def test_what_xml_can_not_have_is_left_out(text: str) -> None:
    assert as_xml({"song": {"title": text}})[0].get("title") == "ab"
    assert as_json({"song": {"title": text}})["song"]["title"][0] == "a"


@pytest.mark.parametrize("form", AnswerFormat)
def test_an_error_has_its_code(form: AnswerFormat) -> None:
    body = written_error(OpenSubsonicError(ErrorCode.NOT_FOUND, 'no "song"'), form, VERSION)
    if form is AnswerFormat.JSON:
        answer = json.loads(body)["subsonic-response"]
        assert (answer["status"], answer["error"]) == ("failed", {"code": 70, "message": 'no "song"'})
    else:
        root = ElementTree.fromstring(body)
        assert root.get("status") == "failed"
        assert dict(root[0].attrib) == {"code": "70", "message": 'no "song"'}


def test_media_types() -> None:
    assert AnswerFormat.XML.media_type.startswith("text/xml")
    assert AnswerFormat.JSON.media_type == "application/json"
