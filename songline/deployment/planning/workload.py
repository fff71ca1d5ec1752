"""What a system is planned for."""

from msgspec import Struct


class Workload(Struct, frozen=True):
    """Averages of a month, and how much more a peak is.

    `plays_per_second` is the mean; `peak` times as many come in the busiest minutes. `songs` with `song_megabytes` each
    are there at first, and `uploads_per_day` come. The plan is of the month after `months` months. `reads_per_second`
    of the API are those that the listeners make where it is None.
    """

    plays_per_second: float
    listeners: int
    songs: int
    uploads_per_day: float
    song_megabytes: float = 8.0
    peak: float = 3.0
    months: int = 12
    reads_per_second: float | None = None
