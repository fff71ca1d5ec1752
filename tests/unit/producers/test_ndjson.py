"""Lines come out the same, however the bytes come in."""

from hypothesis import given
from hypothesis import strategies as st

from songline.producers.publishing.ndjson import EventLine, LineSplitter

PIECES = st.sampled_from([b"a", b"{}", b" ", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\x00\xff", b"x" * 30])


def cut(*chunks: bytes, longest: int = 10_240) -> list[EventLine]:
    lines = LineSplitter(longest)
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.end())


def test_blank_lines_are_counted_and_passed_over() -> None:
    assert cut(b"one\n\n  \r\ntwo\r\nthree") == [
        EventLine(1, b"one", 3),
        EventLine(4, b"two", 4),
        EventLine(5, b"three", 5),
    ]


def test_an_empty_file_has_no_line() -> None:
    assert cut(b"") == cut(b"\n\n") == cut(b"\xef\xbb\xbf") == []


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert [line.body for line in cut(mark + b"one\n" + mark + b"two\n")] == [b"one", mark + b"two"]


def test_an_over_long_line_is_told_by_its_size_and_the_next_one_is_whole() -> None:
    assert cut(b"x" * 100 + b"\nnext", longest=20) == [EventLine(1, None, 100), EventLine(2, b"next", 4)]
    assert cut(*[b"x" * 50] * 1_000, longest=20) == [EventLine(1, None, 50_000)]


def test_the_longest_event_passes_with_mark_and_line_end() -> None:
    body = b"x" * 10_240
    assert [line.body for line in cut(b"\xef\xbb\xbf" + body + b"\r\n")] == [body]


@given(st.lists(PIECES, max_size=40), st.lists(st.integers(0, 400), max_size=10))
def test_chunks_make_no_difference(pieces: list[bytes], cuts: list[int]) -> None:
    text = b"".join(pieces)
    at = sorted(min(each, len(text)) for each in cuts)
    chunks = [text[begin:end] for begin, end in zip([0, *at], [*at, len(text)], strict=True)]
    assert cut(*chunks, longest=40) == cut(text, longest=40)


@given(st.lists(PIECES, max_size=40))
def test_every_line_of_the_file_is_there(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    expected = dict(enumerate(text.split(b"\n"), 1))
    seen = {line.number: line.body for line in cut(text)}
    first = expected[1].removeprefix(b"\xef\xbb\xbf")
    assert seen == {number: line.strip() for number, line in (expected | {1: first}).items() if line.strip()}
