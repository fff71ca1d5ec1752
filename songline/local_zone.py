"""The name of this machine's time zone."""

import re
from collections.abc import Mapping
from pathlib import Path

from songline.schemas.types import TIMEZONE_PATTERN

LINK = Path("/etc/localtime")
_FOLDER = "zoneinfo/"
_NAME = re.compile(TIMEZONE_PATTERN)


def local_zone(environ: Mapping[str, str], link: Path = LINK) -> str:
    """The name in `TZ`, else that of the file to which `link` leads; UTC where neither says one."""
    named = environ.get("TZ", "").removeprefix(":")
    if _NAME.search(named):
        return named
    try:
        path = str(link.resolve(strict=True))
    except OSError:
        return "UTC"
    name = path.rpartition(_FOLDER)[2] if _FOLDER in path else ""
    return name if _NAME.search(name) else "UTC"
