"""How the worker may be tuned, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from cloud.kafka import SESSION_TIMEOUT_MS
from cloud.settings import BadSetting

PORT = "SONGLINE_TRENDING_PORT"
_PREFIX = "SONGLINE_TRENDING_"


class Dials(Struct, frozen=True):
    """Seconds, but for:

    `port`: where health is served on 127.0.0.1, 0 for a free port. `writes`: charts written a second at most.
    `session_ms`: how long the group waits for a worker that has died before it shares out its partitions.
    """

    port: int = 0
    flush: float = 1.0
    save: float = 5.0
    tick: float = 1.0
    whole: float = 30.0
    writes: int = 10
    refresh: float = 60.0
    session_ms: int = SESSION_TIMEOUT_MS
    stall: float = 60.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """`SONGLINE_TRENDING_` and the dial's name in capitals; raises BadSetting."""
        usual = cls()
        return cls(
            port=int(_number(environ, "PORT", 0, (0, 65_535))),
            flush=_number(environ, "FLUSH", usual.flush, (0.1, 60)),
            save=_number(environ, "SAVE", usual.save, (0.1, 300)),
            tick=_number(environ, "TICK", usual.tick, (0.1, 60)),
            whole=_number(environ, "WHOLE", usual.whole, (1, 3_600)),
            writes=int(_number(environ, "WRITES", usual.writes, (1, 10_000))),
            refresh=_number(environ, "REFRESH", usual.refresh, (1, 3_600)),
            session_ms=int(_number(environ, "SESSION_MS", usual.session_ms, (6_000, 300_000))),
            stall=_number(environ, "STALL", usual.stall, (5, 3_600)),
        )


def _number(environ: Mapping[str, str], name: str, default: float, between: tuple[float, float]) -> float:
    text = environ.get(_PREFIX + name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not between[0] <= number <= between[1]:
        raise BadSetting(_PREFIX + name, repr(text), f"a number from {between[0]:g} to {between[1]:g}")
    return number
