"""Which bytes are asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.http.ranges import ByteRange, UnsatisfiableRangeError, wanted

TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=0-", ByteRange(0, 99)),
        ("bytes=10-19", ByteRange(10, 19)),
        ("bytes=99-99", ByteRange(99, 99)),
        ("bytes=90-500", ByteRange(90, 99)),
        ("bytes=-1", ByteRange(99, 99)),
        ("bytes=-500", ByteRange(0, 99)),
        ("bytes=0-" + "9" * 30, ByteRange(0, 99)),
        ("bytes=-" + "9" * 30, ByteRange(0, 99)),
        ("bytes=" + "0" * 30 + "5-6", ByteRange(5, 6)),
        ("Bytes = 5 - 6", ByteRange(5, 6)),
        (None, None),
        ("bytes=-", None),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("bytes=" + ",".join(["0-0"] * 2000), None),
        ("bytes=--5", None),
        ("bytes=-5-", None),
        ("bytes=+1-2", None),
        ("bytes=1.0-2", None),
        ("bytes", None),
        ("", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str | None, expected: ByteRange | None) -> None:
    assert wanted(header, None, TAG, 100) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), ("bytes=" + "9" * 30 + "-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_what_lies_behind_the_end_can_not_be_had(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        wanted(header, None, TAG, size)


@pytest.mark.parametrize(
    ("if_range", "sent"),
    [(TAG, ByteRange(5, 6)), ('"old"', None), (f"W/{TAG}", None), ("Sun, 22 Nov 2026 14:00:00 GMT", None)],
)
def test_a_part_is_sent_only_of_the_file_that_the_caller_has(if_range: str, sent: ByteRange | None) -> None:
    assert wanted("bytes=5-6", if_range, TAG, 100) == sent


@given(st.integers(0, 10**19), st.integers(0, 10**19), st.integers(1, 10**9))
def test_a_part_lies_within_the_file(first: int, last: int, size: int) -> None:
    try:
        part = wanted(f"bytes={first}-{last}", None, TAG, size)
    except UnsatisfiableRangeError:
        assert first >= size
        return
    if part is not None:
        assert (part.first, part.last) == (first, min(last, size - 1))
        assert 1 <= part.length <= size
