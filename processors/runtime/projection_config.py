"""How a worker that keeps a projection may be tuned, read once from the environment."""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from songline.cloud.settings import SettingError, read_number


class ProjectionConfig(Struct, frozen=True):
    """Seconds, but for `port`: where health is served on 127.0.0.1, 0 for a free port.

    `flush`: at most so long after events came they are written, and noted how far that is; `look`: how often a
    partition in which nothing comes is asked whether there is more; `balance`: how often the workers share out the
    partitions; `expire`: how long a worker that has died keeps its own; `stall`: when a partition that can't be written
    is told as not ready; `hang`: when a worker that does not answer itself ends; `behind`: how old the oldest event may
    be that is not applied, for longer than half a minute, before the worker is not ready.
    """

    port: int = 0
    flush: float = 1.0
    look: float = 5.0
    balance: float = 10.0
    expire: float = 30.0
    stall: float = 30.0
    hang: float = 30.0
    behind: float = 60.0

    @classmethod
    def read(cls, environ: Mapping[str, str], prefix: str, flush: float) -> Self:
        """`prefix` and the name in capitals, `SONGLINE_CATALOG_PORT`; `flush` unless it is set. Raises SettingError."""
        usual = cls(flush=flush)
        pace = cls(
            port=int(read_number(environ, prefix + "PORT", usual.port, (0, 65_535))),
            flush=read_number(environ, prefix + "FLUSH", usual.flush, (0.1, 60)),
            look=read_number(environ, prefix + "LOOK", usual.look, (0.1, 300)),
            balance=read_number(environ, prefix + "BALANCE", usual.balance, (0.5, 300)),
            expire=read_number(environ, prefix + "EXPIRE", usual.expire, (1, 3_600)),
            stall=read_number(environ, prefix + "STALL", usual.stall, (1, 3_600)),
            hang=read_number(environ, prefix + "HANG", usual.hang, (1, 3_600)),
            behind=read_number(environ, prefix + "BEHIND", usual.behind, (1, 86_400)),
        )
        if pace.expire < 2 * pace.balance:
            # A worker that lives renews its claims at every round: it would lose them for being a little late.
            raise SettingError(prefix + "EXPIRE", f"{pace.expire:g}", f"twice BALANCE ({pace.balance:g}) at least")
        return pace
