"""Value types that the contracts are made of, with the limits that each value must keep."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from songline.schemas.regions import REGIONS
from songline.schemas.texts import SEEN_PATTERN

# `$` alone also matches before a final line feed, in Python's dialect but not in ECMA 262's, which JSON Schema names.
END = r"$(?!\n)"
# An id becomes a path and the id of a document: one of dots only is a folder there ("." and "..", RFC 3986 section
# 5.2.4), and is rewritten before it is signed.
ID_PATTERN = rf"^(?!\.+$)[A-Za-z0-9._:-]{{1,128}}{END}"
# Ids of songs that are known by name only begin so: nobody uploads one, and so nobody owns one.
NAME_PREFIX = "name:"
NAME_ID_PATTERN = rf"^{NAME_PREFIX}[A-Za-z0-9._:-]{{1,123}}{END}"
OWNED_ID_PATTERN = rf"^(?!{NAME_PREFIX})(?!\.+$)[A-Za-z0-9._:-]{{1,128}}{END}"
# What msgspec reads: RFC 3339 with an offset, in which it also passes over a missing colon.
MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})" + END
)
DAY_MS = 86_400_000
ARTISTS_MAX = 20
GENRES_MAX = 10
MAX_WHOLE = 2**53 - 1
"""The largest whole number that every reader of JSON keeps. Source: RFC 7493 section 2.2."""

REGION_PATTERN = rf"^[A-Z]{{2}}{END}"
# Of any script, as far as patterns can say it: no control, no capital of Latin, Greek or
# Cyrillic letters, nothing that has another form by compatibility. `schemas.genres` makes such names.
NOT_IN_GENRE = (
    r"\u0000-\u002F:-`{-\u00B4\u00B6-\u00DE\u00F7\u0386\u0388-\u038F\u0391-\u03AB\u0400-\u042F\u2000-\u2BFF\u2E00-\u3004\u3008-\u3020"
    r"\u3030\uD800-\uF8FF\uFDD0-\uFDEF\uFE00-\uFE1F\uFE30-\uFFFF"
)
GENRE_PATTERN = rf"^[^{NOT_IN_GENRE}]([^{NOT_IN_GENRE}]|[ &+'-]){{0,63}}{END}"
TRACEPARENT_PATTERN = rf"^[0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}}{END}"
ORIGIN_PATTERN = rf"^[a-z0-9][a-z0-9._-]{{0,63}}{END}"
ISRC_PATTERN = rf"^[A-Z]{{2}}[A-Z0-9]{{3}}[0-9]{{7}}{END}"
MBID_PATTERN = rf"^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}{END}"
POLICY_NAME_PATTERN = rf"^[a-z0-9][a-z0-9-]{{0,31}}{END}"
TIMEZONE_PATTERN = rf"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){{0,2}}{END}"
SHA256_PATTERN = rf"^[0-9a-f]{{64}}{END}"
PARTITION_PATTERN = rf"^[0-9]{{1,4}}{END}"
MARKS_PATTERN = rf"^([A-Za-z0-9_-]{{8}})*{END}"
MEDIA_TYPE_PATTERN = rf"^[a-z0-9!#$&^_.+-]{{1,64}}/[a-z0-9!#$&^_.+-]{{1,64}}{END}"

# Segments between slashes, none of which is empty or ends in a dot: `.` and `..` are taken out of paths on the way, and
# Blob Storage itself takes dots off ends and turns backslashes round.
_SEGMENT = r"[^/\\\u0000-\u001F\u007F]*[^/\\.\u0000-\u001F\u007F]"
BLOB_NAME_PATTERN = rf"^{_SEGMENT}(/{_SEGMENT})*{END}"

PATTERNS = {
    ID_PATTERN: "1 to 128 characters of [A-Za-z0-9._:-], not dots only",
    OWNED_ID_PATTERN: "1 to 128 characters of [A-Za-z0-9._:-], not dots only, not beginning with name:, "
    "which is for songs that are known by name only and belong to nobody",
    NAME_ID_PATTERN: "name: and 1 to 123 characters of [A-Za-z0-9._:-], the id of a song that is known by name only",
    ORIGIN_PATTERN: "1 to 64 of lower-case letters, digits and ._-, not a sign first",
    ISRC_PATTERN: "an ISRC as 12 characters without hyphens, in upper case, such as DEA123456789",
    MBID_PATTERN: "a MusicBrainz id, a UUID in lower case",
    REGION_PATTERN: "an ISO 3166-1 alpha-2 country code, in upper case",
    GENRE_PATTERN: "1 to 64 of lower-case letters, digits, space and &+'-, not a sign first",
    SEEN_PATTERN: "text with a character that can be seen",
    BLOB_NAME_PATTERN: "segments between slashes, none empty or with a dot at its end, no backslash or control",
    POLICY_NAME_PATTERN: "1 to 32 of lower-case letters, digits and -, not - first",
    TIMEZONE_PATTERN: "the name of a time zone, such as Europe/Berlin",
    SHA256_PATTERN: "a SHA-256 as 64 lower-case hexadecimal digits",
    MEDIA_TYPE_PATTERN: "a media type in lower case, such as audio/flac",
    PARTITION_PATTERN: "the number of a partition",
    MARKS_PATTERN: "marks of events, of 8 characters of [A-Za-z0-9_-] each",
    TRACEPARENT_PATTERN: "a W3C traceparent, 00-TRACE-PARENT-FLAGS in lower-case hexadecimal digits",
}
"""Each pattern in words."""

Id = Annotated[str, Meta(pattern=ID_PATTERN, description=PATTERNS[ID_PATTERN])]
OwnedId = Annotated[str, Meta(pattern=OWNED_ID_PATTERN, description=PATTERNS[OWNED_ID_PATTERN])]
NameId = Annotated[str, Meta(pattern=NAME_ID_PATTERN, description=PATTERNS[NAME_ID_PATTERN])]
DurationMs = Annotated[int, Meta(ge=0, le=DAY_MS, description="milliseconds, 0 to 24 h")]
HeardMs = Annotated[int, Meta(ge=1, le=DAY_MS, description="milliseconds, more than none, to 24 h")]
Region = Annotated[
    str,
    Meta(
        pattern=REGION_PATTERN,
        description=PATTERNS[REGION_PATTERN],
        extra_json_schema={"enum": sorted(REGIONS)},
    ),
]
Moment = Annotated[
    datetime,
    Meta(
        tz=True,
        description="RFC 3339 with an offset; what is finer than a microsecond is cut off, never rounded",
        extra_json_schema={"pattern": MOMENT_PATTERN},
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=300)]
Title = Annotated[str, Meta(min_length=1, max_length=300, pattern=SEEN_PATTERN, description=PATTERNS[SEEN_PATTERN])]
Artists = Annotated[tuple[Title, ...], Meta(min_length=1, max_length=ARTISTS_MAX)]
Origin = Annotated[str, Meta(pattern=ORIGIN_PATTERN, description=PATTERNS[ORIGIN_PATTERN])]
Isrc = Annotated[str, Meta(pattern=ISRC_PATTERN, description=PATTERNS[ISRC_PATTERN])]
Mbid = Annotated[str, Meta(pattern=MBID_PATTERN, description=PATTERNS[MBID_PATTERN])]
Genre = Annotated[str, Meta(pattern=GENRE_PATTERN, description=PATTERNS[GENRE_PATTERN])]
Genres = Annotated[tuple[Genre, ...], Meta(min_length=1, max_length=GENRES_MAX)]
Source = Annotated[str, Meta(min_length=1, max_length=256, description="URI reference of the sender")]
Device = Annotated[str, Meta(min_length=1, max_length=64)]
TraceParent = Annotated[str, Meta(pattern=TRACEPARENT_PATTERN, description=PATTERNS[TRACEPARENT_PATTERN])]
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN, description="SHA-256, 64 lower-case hexadecimal digits")]
Size = Annotated[int, Meta(ge=0, le=MAX_WHOLE, description="bytes")]
MediaType = Annotated[str, Meta(pattern=MEDIA_TYPE_PATTERN, description="RFC 6838, lower case")]
BlobName = Annotated[
    str, Meta(min_length=1, max_length=1024, pattern=BLOB_NAME_PATTERN, description=PATTERNS[BLOB_NAME_PATTERN])
]
ImportRun = Annotated[int, Meta(ge=1, le=MAX_WHOLE, description="how often it was begun")]
TimezoneName = Annotated[str, Meta(pattern=TIMEZONE_PATTERN, max_length=64, description=PATTERNS[TIMEZONE_PATTERN])]
FileName = Annotated[str, Meta(min_length=1, max_length=255)]
