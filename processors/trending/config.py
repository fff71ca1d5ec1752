"""How the worker may be tuned, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.kafka import SESSION_TIMEOUT_MS
from songline.cloud.settings import read_number

PORT = "SONGLINE_TRENDING_PORT"
_PREFIX = "SONGLINE_TRENDING_"


class TrendingConfig(Struct, frozen=True):
    """Seconds, but for:

    `port`: where health is served on 127.0.0.1, 0 for a free port. `writes`: charts written a second at most;
    `plays`: days of songs.
    `hang`: when the process ends because it has not had a turn.
    `session_ms`: how long the group waits for a worker that has died before it shares out its partitions.
    """

    port: int = 0
    flush: float = 1.0
    save: float = 5.0
    tick: float = 1.0
    whole: float = 30.0
    writes: int = 30
    plays: int = 20
    session_ms: int = SESSION_TIMEOUT_MS
    stall: float = 30.0
    hang: float = 30.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """`SONGLINE_TRENDING_` and the dial's name in capitals; raises SettingError."""
        usual = cls()
        return cls(
            port=int(read_number(environ, _PREFIX + "PORT", 0, (0, 65_535))),
            flush=read_number(environ, _PREFIX + "FLUSH", usual.flush, (0.1, 60)),
            save=read_number(environ, _PREFIX + "SAVE", usual.save, (0.1, 300)),
            tick=read_number(environ, _PREFIX + "TICK", usual.tick, (0.1, 60)),
            whole=read_number(environ, _PREFIX + "WHOLE", usual.whole, (1, 3_600)),
            writes=int(read_number(environ, _PREFIX + "WRITES", usual.writes, (1, 10_000))),
            plays=int(read_number(environ, _PREFIX + "PLAYS", usual.plays, (1, 10_000))),
            session_ms=int(read_number(environ, _PREFIX + "SESSION_MS", usual.session_ms, (6_000, 300_000))),
            stall=read_number(environ, _PREFIX + "STALL", usual.stall, (5, 3_600)),
            hang=read_number(environ, _PREFIX + "HANG", usual.hang, (1, 3_600)),
        )
