"""Parameters of ListenBrainz' API. Unknown ones are passed over, as there. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.schemas.decoding import excerpt

MOST = 100
MAX_NUMBER = 253_402_300_799
"""The last second of the year 9999."""
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


def read_query(query: bytes) -> Mapping[str, str]:
    """The parameters that have a value; of one that is repeated the first. Raises ListenBrainzError."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), errors="strict", max_num_fields=MOST)
    except ValueError:
        raise ListenBrainzError(400, f"query: saw {excerpt(query)!r}, expected UTF-8, percent-encoded.") from None
    return dict(reversed(pairs))


def whole(query: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    """A number of 0 or more; `default` where there is none. -1 is a number of `score` alone. Raises
    ListenBrainzError."""
    text = query.get(name)
    if text is None:
        return default
    if name == "score" and text == "-1":
        return -1
    if not _WHOLE.fullmatch(text) or int(text) > MAX_NUMBER:
        raise ListenBrainzError(400, f"'{name}' should be a non-negative integer: saw {excerpt(text)!r}.")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether it is asked for."""
    return query.get(name, "").lower() in ("true", "1")
