"""Forms, taken apart whatever the pieces in which they come."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.uploads.multipart import FIELD_MAX, PARTS_MAX, Form

BOUNDARY = "frontier"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: audio/mpeg\r\n\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def read(body: bytes, cuts: list[int], content_type: str = CONTENT_TYPE) -> list[tuple[str, str | None, bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
        for start, end in pairwise(places):
            yield body[start:end]

    found = []
    async for each in Form(stream(), content_type):
        content = b"".join([piece async for piece in each.pieces()])
        found.append((each.head.name, each.head.file_name, content))
    return found


@given(
    contents=st.lists(st.binary(max_size=200) | st.sampled_from([b"--frontier", b"\r\n--front", b"\r\n"]), max_size=4),
    cuts=st.lists(st.integers(0, 5000), max_size=8),
)
async def test_what_went_in_comes_out_however_it_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    expected = [(f"part-{number}", "ä.mp3", content) for number, content in enumerate(contents)]
    body = form(*(part(name, content, file_name) for name, file_name, content in expected))
    assert await read(body, cuts) == expected


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
async def test_rubbish_is_declined_and_nothing_else_happens(body: bytes, cuts: list[int]) -> None:
    with pytest.raises(RequestDeclinedError):
        await read(b"rubbish" + body, cuts)


@pytest.mark.parametrize(
    ("body", "content_type", "named"),
    [
        (form(part("file", b"x"))[:-10], CONTENT_TYPE, "ends before"),
        (form(part("file", b"x")), "multipart/form-data", "no boundary"),
        (form(part("file", b"x")), f"multipart/form-data; boundary={'x' * 300}", "Boundary"),
        (form(*(part("x", b"") for _ in range(PARTS_MAX + 1))), CONTENT_TYPE, f"more than {PARTS_MAX} parts"),
        (f"--{BOUNDARY}\r\nContent-Type: a/b\r\n\r\nx\r\n--{BOUNDARY}--".encode(), CONTENT_TYPE, "no name"),
        (form(part("title", b"x")).replace(b"title", b"tit\xff"), CONTENT_TYPE, r"tit\\xff, is not UTF-8"),
        (form(part("n" * 5000, b"x")), CONTENT_TYPE, "multipart/form-data"),
    ],
)
async def test_what_is_no_form_is_declined_in_words(body: bytes, content_type: str, named: str) -> None:
    with pytest.raises(RequestDeclinedError, match=named) as declined:
        await read(body, [], content_type)
    assert declined.value.status == 400


@pytest.mark.parametrize("value", [b"x" * (FIELD_MAX + 1), b"\xff"])
async def test_a_field_is_short_and_is_text(value: bytes) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield form(part("title", value))

    async for each in Form(stream(), CONTENT_TYPE):
        with pytest.raises(RequestDeclinedError, match="title"):
            await each.text()
        break


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r'filename="say \"hi\" a\\b.mp3"', 'say "hi" a\\b.mp3'),
        ('filename="say %22hi%22.mp3"', 'say "hi".mp3'),
        ('filename="a;b=c, d.mp3"', "a;b=c, d.mp3"),
        ("filename=plain.mp3", "plain.mp3"),
        ('filename="Джаз.mp3"', "Джаз.mp3"),
        ("filename*=UTF-8''%D0%94%D0%B6%D0%B0%D0%B7.mp3", "Джаз.mp3"),
        ("filename=\"x.mp3\"; filename*=utf-8'en'na%C3%AFve.mp3", "naïve.mp3"),
        ("filename*=ISO-8859-1''na%EFve.mp3", "naïve.mp3"),
        ('filename=""', ""),
    ],
)
async def test_the_name_of_a_file_is_read_as_it_was_written(written: str, name: str) -> None:
    disposition = f'Content-Disposition: form-data; name="file"; {written}'
    body = f"--{BOUNDARY}\r\n{disposition}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    assert await read(body, []) == [("file", name, b"x")]
