"""The names of types with their versions, as events and commands are written under: `songline.song.played.v1`."""

import re

# ASCII digits without a leading zero, so that a version has one spelling; nine of them are enough.
_TYPE = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]{0,8})", re.ASCII)


def split_version(written: str) -> tuple[str, int] | None:
    """`songline.song.played.v1` as (`songline.song.played`, 1); None for what is not written so."""
    match = _TYPE.fullmatch(written)
    return None if match is None else (match["name"], int(match["version"]))
