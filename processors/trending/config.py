"""How the worker may be tuned, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.kafka import SESSION_TIMEOUT_MS
from songline.cloud.settings import read_host, read_number

PORT = "SONGLINE_TRENDING_PORT"
_PREFIX = "SONGLINE_TRENDING_"


class TrendingConfig(Struct, frozen=True):
    """What an operator may set.

    `host`, `port`: where health is served, 0 for a free port. `flush_s`: for how long events are gathered
    before they are fetched and flushed. `save_s`: the pause between saves of shards. `tick_s`: the least pause between
    shard reports, and between writes. `whole_s`: the pause between
    reports with everything. `chart_writes`, `day_writes`: charts and songs' days written a second at most.
    `session_ms`: after which the group takes a silent worker for dead. `stall_s`: how long events may wait in a
    partition of which none is applied before the worker is not ready. `hang_s`: how long the event loop may have no
    turn before the process ends.
    """

    port: int = 0
    flush_s: float = 0.5
    save_s: float = 5.0
    tick_s: float = 0.25
    whole_s: float = 30.0
    chart_writes: int = 30
    day_writes: int = 20
    session_ms: int = SESSION_TIMEOUT_MS
    stall_s: float = 30.0
    hang_s: float = 30.0
    host: str = "127.0.0.1"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The configuration in the environment's variables; raises SettingError."""
        usual = cls()
        return cls(
            port=int(read_number(environ, PORT, 0, (0, 65_535))),
            flush_s=read_number(environ, _PREFIX + "FLUSH", usual.flush_s, (0.1, 60)),
            save_s=read_number(environ, _PREFIX + "SAVE", usual.save_s, (0.1, 300)),
            tick_s=read_number(environ, _PREFIX + "TICK", usual.tick_s, (0.1, 60)),
            whole_s=read_number(environ, _PREFIX + "WHOLE", usual.whole_s, (1, 3_600)),
            chart_writes=int(read_number(environ, _PREFIX + "WRITES", usual.chart_writes, (1, 10_000))),
            day_writes=int(read_number(environ, _PREFIX + "PLAYS", usual.day_writes, (1, 10_000))),
            session_ms=int(read_number(environ, _PREFIX + "SESSION_MS", usual.session_ms, (6_000, 300_000))),
            stall_s=read_number(environ, _PREFIX + "STALL", usual.stall_s, (5, 3_600)),
            hang_s=read_number(environ, _PREFIX + "HANG", usual.hang_s, (1, 3_600)),
            host=read_host(environ, _PREFIX + "HOST"),
        )
