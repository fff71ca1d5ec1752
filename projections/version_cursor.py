"""Cursors that name the versions of projections that their list is of, so that a list is read to its end in one. Pure.

A list of the first versions has cursors without numbers, as before there were others.
"""

import re

from songline.schemas.projections import FIRST_VERSION

_NUMBERED = re.compile(r"((?:[1-9][0-9]{0,5}\.)+)([A-Za-z0-9_-]*)", re.ASCII)


class VersionCursorError(ValueError):
    """A text that is no cursor of such a list. The caller uses the one from the previous page, or none."""


def with_versions(cursor: str | None, *versions: int) -> str | None:
    """The cursor of the next page of a list of these versions; None on the last page."""
    if cursor is None or all(version == FIRST_VERSION for version in versions):
        return cursor
    return "".join(f"{version}." for version in versions) + cursor


def split_versions(cursor: str | None, count: int) -> tuple[list[int | None], str | None]:
    """The `count` versions that a cursor names, and the rest of it; without a cursor no version is named.

    Raises VersionCursorError.
    """
    if cursor is None:
        return [None] * count, None
    if "." not in cursor:
        return [FIRST_VERSION] * count, cursor
    match = _NUMBERED.fullmatch(cursor)
    versions: list[int | None] = [] if match is None else [int(one) for one in match[1].split(".")[:-1]]
    if match is None or len(versions) != count:
        raise VersionCursorError(cursor)
    return versions, match[2]
