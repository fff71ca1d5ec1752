"""How many requests, streams and bytes of files a caller may have."""

from collections.abc import Mapping

from msgspec import Struct

from songline.api.rate_bucket import BucketPolicy
from songline.cloud.settings import SettingError, read_number
from songline.producers.http.callers import Callers

REQUESTS = "SONGLINE_REQUESTS_PER_SECOND"
SERVICE_REQUESTS = "SONGLINE_SERVICE_REQUESTS_PER_SECOND"
STREAMS = "SONGLINE_STREAMS_EACH"
UPLOAD_BYTES = "SONGLINE_UPLOAD_BYTES_PER_DAY"
OFF = "off"
LEAST_AND_MOST = (0.1, 1_000_000)
LEAST_AND_MOST_BYTES = (1, 10**15)
DAY_S = 86_400
BURST_S = 2
"""A caller who was quiet may send what this many seconds allow at once."""


def of_a_day(size: int) -> BucketPolicy:
    """A bucket of so many bytes, which come back over a day."""
    return BucketPolicy(size / DAY_S, size)


class LimitSettings(Struct, frozen=True):
    """The bucket of a caller, and that of a service, which acts for many listeners; None for no limit. `streams` are
    those that a caller may have at a time. `callers` tells callers without a token apart, by their addresses.
    `upload_bytes` is the bucket of the files that a caller uploads.
    """

    caller: BucketPolicy | None = BucketPolicy(100, 100 * BURST_S)
    service: BucketPolicy | None = BucketPolicy(10_000, 10_000 * BURST_S)
    streams: int = 10
    callers: Callers = Callers()
    upload_bytes: BucketPolicy | None = of_a_day(100_000_000_000)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "LimitSettings":
        """The settings in `environ`; raises SettingError."""
        return cls(
            _policy(environ, REQUESTS, 100, "requests a second that one caller may send,"),
            _policy(environ, SERVICE_REQUESTS, 10_000, "requests a second that one service may send,"),
            int(read_number(environ, STREAMS, 10, (1, 10_000), "streams that one caller may have at a time,")),
            Callers.read(environ),
            _bytes(environ),
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


def _bytes(environ: Mapping[str, str]) -> BucketPolicy | None:
    if environ.get(UPLOAD_BYTES, "") == OFF:
        return None
    meaning = "bytes of files that one caller may upload in a day,"
    try:
        return of_a_day(int(read_number(environ, UPLOAD_BYTES, 100_000_000_000, LEAST_AND_MOST_BYTES)))
    except SettingError:
        least, most = LEAST_AND_MOST_BYTES
        raise SettingError(
            UPLOAD_BYTES, repr(environ[UPLOAD_BYTES]), f"{meaning} from {least} to {most}, or {OFF}"
        ) from None
