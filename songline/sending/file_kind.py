"""Detects a file that is no NDJSON by its first bytes, to report it in one sentence instead of one error per line."""

_PACKED = (
    (b"\x1f\x8b", "a gzip file", "gunzip -c {name} | songline publish -"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "zstd -dc {name} | songline publish -"),
    (b"\xfd7zXZ\x00", "an xz file", "xz -dc {name} | songline publish -"),
    (b"BZh", "a bzip2 file", "bunzip2 -c {name} | songline publish -"),
    (b"PK\x03\x04", "a zip file", "unzip -p {name} | songline publish -"),
)
_OTHERS = (
    (b"PAR1", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%PDF", "a PDF"),
    (b"ID3", "an MP3 file, which `songline upload` takes"),
)
# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32LE"),
    (b"\x00\x00\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_BOM = b"\xef\xbb\xbf"
_LINES = "expected a JSON object on each line"


def unfit(head: bytes, name: str, path: str) -> str | None:
    """A sentence that says what the file `name` is and how to convert it; None where it may be NDJSON.

    `head` is the beginning of the file. `path` is its name as quoted for a shell.
    """
    text = head.removeprefix(_BOM).strip()
    lines = [line.strip() for line in text.splitlines()]
    if any(map(_is_object, lines)) and not (text.startswith(b"[") and _is_array(lines)):
        return None
    for magic, kind, way in _PACKED:
        if head.startswith(magic):
            return f"{name} is {kind}: unpack it, as with `{way.format(name=path)}`."
    for magic, kind in _OTHERS:
        if head.startswith(magic):
            return f"{name} is {kind}, {_LINES}."
    if (encoding := _encoding(head)) is not None:
        return f"{name} is {encoding}, expected UTF-8: `iconv -f {encoding} -t UTF-8 {path} | songline publish -`."
    if not text:
        return f"{name} is empty, {_LINES}."
    if b"\x00" in head:
        return f"{name} is a binary file, {_LINES}."
    if text.startswith(b"["):
        return f"{name} is a JSON array, {_LINES}: `jq -c '.[]' {path} | songline publish -`."
    if lines[0] == b"{":
        return f"{name} is JSON over several lines, {_LINES}: `jq -c . {path} | songline publish -`."
    if text.startswith(b"<"):
        return f"{name} is XML or HTML, {_LINES}."
    return None


def _is_object(line: bytes) -> bool:
    """Whether the line looks like one of NDJSON."""
    return line.startswith(b"{") and line.endswith(b"}")


def _is_array(lines: list[bytes]) -> bool:
    """Whether `lines`, the first of which begins with a bracket, are a JSON array and not NDJSON after a bad line."""
    return len(lines) < 2 or not _is_object(lines[1]) or lines[2:3] == [b"]"]


def _encoding(head: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, by its byte order mark or by its zero bytes; else None."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    begin = head[: len(head) // 2 * 2][:2_000]
    if len(begin) >= 4:
        zeros = len(begin) // 2 * 0.9
        if begin[1::2].count(0) >= zeros and begin[0::2].count(0) == 0:
            return "UTF-16LE"
        if begin[0::2].count(0) >= zeros and begin[1::2].count(0) == 0:
            return "UTF-16BE"
    return None
