"""Bytes that are no text, halves of characters, NUL, nests: wherever the API takes bytes, one answer each, no 500."""

import json
from typing import Any

import httpx
import pytest

from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import SongLiked, SongPlayed
from tests.support.http import exchange, status

ONE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
GOOD = encode(examples.EVENTS[SongLiked])


def odd(body: bytes, value: bytes) -> list[bytes]:
    """`body` with this in place of each of its strings, one after the other."""
    found: list[bytes] = []
    at = body.find(b'"')
    while at >= 0:
        end = body.index(b'"', at + 1)
        found.append(body[: at + 1] + value + body[end:])
        at = body.find(b'"', end + 1)
    return found


VALUES = [
    b"\xff",
    b"a\xc3",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf5\x80\x80\x80",
    b"\\ud800",
    b"\\udfff\\ud800",
    b"\\u0000",
    b"\x00",
    b"\n",
    b"\x1b[31m",
    b"\xe2\x80\xae",
]
WHOLE = [
    b"",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b"\xff\xfe{\x00}\x00",
    b"\x1f\x8b\x08\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 5_000,
    b'{"a":' * 1_900,
    b'{"a":' * 1_500 + b"1" + b"}" * 1_500,
    b'{"data":' + b"[" * 1_500 + b"]" * 1_500 + b"}",
    b'{"time":1e400}',
    b'{"time":' + b"9" * 5_000 + b"}",
]
ROUTES: list[tuple[str, str, dict[str, str], bytes]] = [
    ("POST", "/v1/events", ONE, encode(examples.EVENTS[SongPlayed])),
    ("POST", "/v1/events", ONE, GOOD),
    (
        "POST",
        "/v1/songs/song-1/plays",
        {},
        b'{"userId":"u","playedMs":1,"durationMs":2,"region":"DE","device":"ios","time":"2026-11-22T14:00:00Z"}',
    ),
    ("PUT", "/v1/users/u/now-playing", {}, b'{"songId":"s"}'),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), ROUTES)
def test_a_body_is_taken_or_refused_with_a_reason(
    web: httpx.Client, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    for content in [*WHOLE, *(changed for value in VALUES for changed in odd(body, value))]:
        answer = web.request(method, path, headers=headers, content=content)
        assert answer.status_code in (200, 202, 204, 400), (content, answer.text)
        if answer.status_code == 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].isprintable()


def test_of_a_batch_each_has_an_answer_of_its_own(web: httpx.Client) -> None:
    bad = [
        *(changed for value in VALUES if b"\n" not in value and b"\x00" not in value for changed in odd(GOOD, value)),
        b"null",
        b"[" * 1_400 + b"]" * 1_400,
        b'{"a":' * 1_400 + b"1" + b"}" * 1_400,
        b'{"id":"' + b"x" * 11_000 + b'"}',
    ]
    for number, item in enumerate(bad):
        batch = [
            GOOD.replace(b'"id":"', b'"id":"%d-' % number, 1),
            item,
            GOOD.replace(b'"id":"', b'"id":"%d.' % number, 1),
        ]
        answer = web.post("/v1/events", headers=BATCH, content=b"[" + b", ".join(batch) + b"]")
        assert answer.status_code in (200, 202, 207), (item, answer.text)
        results: list[dict[str, Any]] = answer.json()["results"]
        assert [result["index"] for result in results] == [0, 1, 2]
        assert "refused" not in (results[0]["status"], results[2]["status"]), (item, answer.text)


NO_BATCHES = [b"[", b"[1", b"[1,", b"]", b"[[]]]", b"[" * 5_000, b"[1]x", b"\xff", b"{}", b"[\xff]", b""]


@pytest.mark.parametrize("body", NO_BATCHES)
def test_what_is_no_batch_is_refused_whole(web: httpx.Client, body: bytes) -> None:
    answer = web.post("/v1/events", headers=BATCH, content=body)
    assert answer.status_code in (400, 207), answer.text
    if answer.status_code == 207:
        assert {result["status"] for result in answer.json()["results"]} == {"refused"}


HEADER_VALUES = [b"\xff", b"\xc3", b"a\x00b", b"\x1b[31m", "\u202e".encode(), b"\xed\xa0\x80", b"%FF", b"a\tb"]
HEADERS = ["X-User-Id", "Idempotency-Key", "traceparent", "Accept", "Last-Event-ID", "Range", "Content-Type"]


@pytest.mark.parametrize("value", HEADER_VALUES)
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_taken_or_refused(address: str, shown: str, name: str, value: bytes) -> None:
    for line in (
        b"PUT /v1/users/u/likes/s",
        b"DELETE /v1/songs/s?userId=u",
        b"POST /v1/songs?userId=u",
        b"POST /v1/events",
        b"POST /v1/songs/s/plays",
        b"GET /v1/charts/top/1h",
        b"GET /v1/songs/s/audio",
        b"GET /v1/ingestions/i/events",
    ):
        head = [
            line + b" HTTP/1.1",
            b"Host: x",
            b"Content-Length: 2",
            b"Connection: close",
            shown.encode(),
            name.encode() + b": " + value,
        ]
        answer = exchange(address, b"\r\n".join([*head, b"", b"{}"]))
        assert 200 <= status(answer) < 500 or b" 503 " in answer, answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["userId", "title", "genre", "file", "other"])
def test_a_field_of_a_form_is_taken_or_refused(web: httpx.Client, name: str, value: bytes) -> None:
    fields = {"userId": b"u", "title": b"t", "file": b"no song", name: value}
    named = b'; filename="' + value.replace(b"\n", b"") + b'.mp3"'
    parts = [
        b'Content-Disposition: form-data; name="%s"%s\r\n\r\n%s' % (field.encode(), named * (field == "file"), content)
        for field, content in sorted(fields.items(), reverse=True)
    ]
    body = b"--b\r\n" + b"\r\n--b\r\n".join(parts) + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = web.post("/v1/songs", headers=headers, content=body)
    assert answer.status_code in (202, 400), answer.text
    if answer.status_code == 202:
        found = web.get(answer.json()["href"])
        assert found.status_code == 200
        assert json.dumps(found.json(), ensure_ascii=False).isprintable()


@pytest.mark.parametrize("value", ["%FF", "%C3", "%00", "%0A", "%1B%5B31m", "%E2%80%AE", "%ED%A0%80", "a%20b"])
@pytest.mark.parametrize("name", ["userId", "title", "artist", "album", "genre", "fileName"])
def test_what_stands_beside_a_file_is_taken_or_refused(address: str, shown: str, name: str, value: str) -> None:
    query = "&".join(f"{field}={said}" for field, said in {"userId": "u", name: value}.items())
    head = [
        f"POST /v1/songs?{query} HTTP/1.1",
        "Host: x",
        "Content-Type: audio/wav",
        "Content-Length: 1",
        "Connection: close",
        shown,
    ]
    answer = exchange(address, "\r\n".join([*head, "", "x"]).encode())
    assert status(answer) in (202, 400), answer
