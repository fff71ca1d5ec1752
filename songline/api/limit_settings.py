"""How many requests and streams a caller may have."""

from collections.abc import Mapping

from msgspec import Struct

from songline.api.rate_bucket import BucketPolicy
from songline.cloud.settings import SettingError, read_number
from songline.producers.http.callers import Callers

REQUESTS = "SONGLINE_REQUESTS_PER_SECOND"
SERVICE_REQUESTS = "SONGLINE_SERVICE_REQUESTS_PER_SECOND"
STREAMS = "SONGLINE_STREAMS_EACH"
OFF = "off"
LEAST_AND_MOST = (0.1, 1_000_000)
BURST_S = 2
"""A caller who was quiet may send what this many seconds allow at once."""


class LimitSettings(Struct, frozen=True):
    """The bucket of a caller, and that of a service, which acts for many listeners; None for no limit. `streams` are
    those that a caller may have at a time. `callers` tells callers without a token apart, by their addresses."""

    caller: BucketPolicy | None = BucketPolicy(100, 100 * BURST_S)
    service: BucketPolicy | None = BucketPolicy(10_000, 10_000 * BURST_S)
    streams: int = 10
    callers: Callers = Callers()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "LimitSettings":
        """The settings in `environ`; raises SettingError."""
        return cls(
            _policy(environ, REQUESTS, 100, "requests a second that one caller may send,"),
            _policy(environ, SERVICE_REQUESTS, 10_000, "requests a second that one service may send,"),
            int(read_number(environ, STREAMS, 10, (1, 10_000), "streams that one caller may have at a time,")),
            Callers.read(environ),
        )


def _policy(environ: Mapping[str, str], name: str, default: float, meaning: str) -> BucketPolicy | None:
    text = environ.get(name, "")
    if text == OFF:
        return None
    try:
        per_s = read_number(environ, name, default, LEAST_AND_MOST)
    except SettingError:
        least, most = LEAST_AND_MOST
        raise SettingError(name, repr(text), f"{meaning} from {least:g} to {most:g}, or {OFF}") from None
    return BucketPolicy(per_s, max(1, round(per_s * BURST_S)))
