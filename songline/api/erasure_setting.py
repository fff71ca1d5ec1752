"""Whether the API offers erasure and access. Their routes need packages that the rest does not."""

from collections.abc import Mapping

from songline.cloud.settings import SettingError

ERASURES = "SONGLINE_ERASURES"


def read(environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """`environ` where the setting turns the routes on, else None; raises SettingError."""
    match environ.get(ERASURES, ""):
        case "" | "off":
            return None
        case "on":
            return environ
        case seen:
            raise SettingError(ERASURES, repr(seen), "on or off")
