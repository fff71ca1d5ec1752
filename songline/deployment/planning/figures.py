"""What the product takes for a unit of work: each figure with its mark, and where it comes from."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from songline.deployment.planning.prices import Mark


class Figure(Struct, frozen=True):
    """A number, how sure it is, and why."""

    value: float
    mark: Mark
    because: str


EVENT_BYTES: Final = Figure(350, "measured", "a SongPlayed as it is published, encoded on 2026-11-29")
OTHER_EVENTS: Final = Figure(0.2, "assumed", "likes, unlikes and playbacks for each play")
OWN_HUBS: Final = Figure(1.0, "assumed", "bytes in trending's own hubs for each byte of music-events")
READERS: Final = Figure(4, "measured", "trending, catalog, library and Capture read each event; Capture is not counted")
PARTITION_EVENTS: Final = Figure(2_000, "assumed", "events a second that a partition takes with room to spare")
TU_BYTES_IN: Final = Figure(1_000_000, "published", "Event Hubs quotas, Standard")
TU_BYTES_OUT: Final = Figure(2_000_000, "published", "Event Hubs quotas, Standard")
TU_EVENTS_IN: Final = Figure(1_000, "published", "Event Hubs quotas, Standard")
TU_STORAGE_GB: Final = Figure(84, "published", "Event Hubs quotas, Standard")
TRENDING_SMALL_GIB: Final = Figure(1, "assumed", "of 2 GiB of a replica, what is free for a week of actions")
TRENDING_LARGE_GIB: Final = Figure(
    6, "assumed", "of 8 GiB of a replica, the largest, what is free for a week of actions"
)
MAX_TUS: Final = 40
MAX_PARTITIONS: Final = 32
MAX_REPLICAS: Final = 1_000
RETENTION_S: Final = 7 * 86_400

LIBRARY_RU: Final[Sequence[tuple[float, float]]] = ((0, 0), (50, 110), (500, 250), (60_000, 7_200))
"""Request units a second that the library worker's writes take, by actions a second, with straight lines between. The
points are those of docs/library.md: 2.2, 0.5 and 0.12 request units an action, by localcloud's model."""

CHARTS_A_SECOND: Final = Figure(30, "measured", "charts written a second at most: SONGLINE_TRENDING_WRITES")
DAYS_A_SECOND: Final = Figure(20, "measured", "songs' days written a second at most: SONGLINE_TRENDING_PLAYS")
CHART_RU: Final = Figure(30, "assumed", "a chart of 20 KB is replaced")
DAY_RU: Final = Figure(12, "assumed", "a song's day is replaced")
UPLOAD_RU: Final = Figure(120, "assumed", "an ingestion, its states, and the song's document")
READ_RU: Final = Figure(10.5, "measured", "a library of ten songs, read first: docs/library.md")
READS_A_LISTENER: Final = Figure(20, "assumed", "reads of a listener a day")

LIBRARY_CPU_S: Final = Figure(35e-6, "measured", "docs/performance.md")
CATALOG_CPU_S: Final = Figure(20e-6, "measured", "docs/performance.md")
TRENDING_CPU_S: Final = Figure(
    12e-6, "assumed", "2.2 us for an event are measured; reports, changelogs and charts come on top"
)
INGESTION_CPU_S: Final = Figure(0.5, "assumed", "a file is probed and copied")
READ_CPU_S: Final = Figure(3e-3, "measured", "docs/performance.md: 3 ms of the API's CPU, where the shelf has changed")
WRITE_CPU_S: Final = Figure(0.2e-3, "assumed", "an event through the API; most services publish by themselves")
IDLE_CPU: Final = Figure(0.08, "measured", "docs/performance.md: the trending worker at 50 events/s")
BUSY: Final = Figure(
    0.5, "assumed", "how much of its CPU a process uses in a peak, so that it catches up after a pause"
)
TRENDING_BYTES: Final = Figure(40, "measured", "docs/history.md: memory of the trending worker for an action of a week")
ARCHIVE_BYTES: Final = Figure(420, "assumed", "an event in Capture's Avro, uncompressed")
ACTION_BYTES: Final = Figure(29, "measured", "docs/library.md: 20 GB are some 700 million actions")
SONG_BYTES: Final = Figure(2_000, "assumed", "a song's document with its index")
SONG_DAY_BYTES: Final = Figure(600, "assumed", "a song's day with its index")
DAYS_KEPT: Final = 90
PLAYED_A_DAY: Final = Figure(0.2, "assumed", "the part of all songs that is played in a day")
COMMAND_OPERATIONS: Final = Figure(8, "assumed", "a command is sent, received, renewed, completed; receivers wait")
LOG_BYTES: Final = Figure(50e6, "assumed", "lines of a process in a day")


def interpolated(points: Sequence[tuple[float, float]], at: float) -> float:
    """The value at `at` on the straight lines through `points`, which rise; the last line goes on."""
    before, after = points[0], points[1]
    for before, after in pairwise(points):  # noqa: B007 - the last pair is used after the loop
        if at <= after[0]:
            break
    slope = (after[1] - before[1]) / (after[0] - before[0])
    return before[1] + slope * (at - before[0])
