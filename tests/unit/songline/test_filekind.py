"""Files that are no NDJSON are told by how they begin, and those that may be are not."""

import bz2
import gzip
import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import SongPlayed
from songline.sending.file_kind import unfit

EVENT = encode(examples.EVENTS[SongPlayed])
LINES = (EVENT + b"\n") * 20
ARRAY = b"[" + EVENT + b",\n" + EVENT + b"]"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n\r\n", "empty"),
        (b"\xef\xbb\xbf\n", "empty"),
        (gzip.compress(LINES), "gunzip -c"),
        (bz2.compress(LINES), "bunzip2 -c"),
        (lzma.compress(LINES), "xz -dc"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd -dc"),
        (b"PK\x03\x04\x14", "unzip -p"),
        (b"PAR1\x15\x00", "Parquet"),
        (LINES.decode().encode("utf-16"), "iconv -f UTF-16 "),
        (LINES.decode().encode("utf-16-le"), "iconv -f UTF-16LE"),
        (LINES.decode().encode("utf-16-be"), "iconv -f UTF-16BE"),
        (LINES.decode().encode("utf-32"), "iconv -f UTF-32LE"),
        (ARRAY, "jq -c '.[]'"),
        (b"\xef\xbb\xbf \n" + ARRAY, "jq -c '.[]'"),
        (b"[\n" + EVENT + b"\n]", "jq -c '.[]'"),
        (b"[\n" + EVENT + b",\n" + EVENT + b"\n]", "jq -c '.[]'"),
        (b"[]", "jq -c '.[]'"),
        (json.dumps([json.loads(EVENT)] * 3, indent=2).encode(), "jq -c '.[]'"),
        (json.dumps([json.loads(EVENT)] * 3, indent=0).encode(), "jq -c '.[]'"),
        (json.dumps(json.loads(EVENT), indent=2).encode(), "jq -c . "),
        (b"\x7fELF\x02\x01\x00\x00", "binary"),
        (bytes(range(256)), "binary"),
        (b"<!doctype html>\n<p>", "HTML"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"ID3\x04", "songline upload"),
    ],
)
def test_what_is_no_ndjson_is_said_in_one_sentence(content: bytes, said: str) -> None:
    for head in (content, content[:4_096]):
        told = unfit(head, "a file", "'a file'")
        assert told is not None
        assert said in told
        assert told.startswith("a file is ")
        assert told.endswith(".")
        assert told.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        b"\xef\xbb\xbf" + LINES,
        b"\r\n" + LINES.replace(b"\n", b"\r\n"),
        EVENT,
        b"\xff\n" + LINES,
        b"\x00\x00\n" + LINES,
        b"[1]\n" + LINES,
        b"# a comment\n" + LINES,
        b"not json",
        b"{}",
        b'{"a":\n1}',
    ],
)
def test_what_may_be_ndjson_is_judged_line_by_line(content: bytes) -> None:
    assert unfit(content, "a file", "'a file'") is None


@given(st.binary(max_size=300))
def test_anything_is_judged(content: bytes) -> None:
    told = unfit(content, "a file", "f")
    assert told is None or told.isprintable()


@given(st.binary(max_size=40))
def test_one_odd_line_keeps_no_good_one_back(line: bytes) -> None:
    odd = line.replace(b"\n", b"").replace(b"\r", b"")
    assert unfit(odd + b"\n" + LINES, "a file", "f") is None
