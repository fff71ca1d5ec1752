"""What a worker that keeps a projection reads from the environment, once: where its services are, and its tuning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct

from songline.cloud.settings import BlobSettings, CloudSettings, SettingError, read_blobs, read_host, read_number


class ProjectionConfig(Struct, frozen=True):
    """The tuning of a projection's worker.

    - `host`, `port`: where health is served, 0 for a free port.
    - `flush_s`: events are written at most so long after they came, and the watermark with them.
    - `look_s`: how often an idle partition is asked for its end.
    - `balance_s`: how often the workers share out the partitions.
    - `expire_s`: how long a worker that has died keeps its partitions.
    - `stall_s`: the worker is not ready once a partition could not be written for so long.
    - `hang_s`: a worker whose event loop does not run for so long ends.
    - `behind_s`: the worker is not ready while its oldest event that is not applied is older than that, for more than
      half a minute.
    """

    port: int = 0
    flush_s: float = 1.0
    look_s: float = 5.0
    balance_s: float = 10.0
    expire_s: float = 30.0
    stall_s: float = 30.0
    hang_s: float = 30.0
    behind_s: float = 60.0
    host: str = "127.0.0.1"

    @classmethod
    def read(cls, environ: Mapping[str, str], prefix: str, flush_s: float) -> Self:
        """The configuration in `environ`: `prefix` and a field's name in capitals without its unit, such as
        `SONGLINE_CATALOG_FLUSH`. `flush_s` is the default of that field. Raises SettingError."""
        default = cls(flush_s=flush_s)
        config = cls(
            port=int(read_number(environ, prefix + "PORT", default.port, (0, 65_535))),
            flush_s=read_number(environ, prefix + "FLUSH", default.flush_s, (0.1, 60)),
            look_s=read_number(environ, prefix + "LOOK", default.look_s, (0.1, 300)),
            balance_s=read_number(environ, prefix + "BALANCE", default.balance_s, (0.5, 300)),
            expire_s=read_number(environ, prefix + "EXPIRE", default.expire_s, (1, 3_600)),
            stall_s=read_number(environ, prefix + "STALL", default.stall_s, (1, 3_600)),
            hang_s=read_number(environ, prefix + "HANG", default.hang_s, (1, 3_600)),
            behind_s=read_number(environ, prefix + "BEHIND", default.behind_s, (1, 86_400)),
            host=read_host(environ, prefix + "HOST"),
        )
        if config.expire_s < 2 * config.balance_s:
            # A living worker renews its claims at every round, and would lose them for being a little late.
            expected = f"twice BALANCE ({config.balance_s:g}) at least"
            raise SettingError(prefix + "EXPIRE", f"{config.expire_s:g}", expected)
        return config


DATA = "SONGLINE_DATA"
OWNERS = "owners"


class ProjectionEnvironment(Struct, frozen=True):
    """Where a projection's services are, and its tuning. `owners` is the folder of this machine in which workers note
    under which names they own partitions; None: they don't."""

    cloud: CloudSettings
    blobs: BlobSettings
    config: ProjectionConfig
    owners: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], prefix: str, flush_s: float) -> Self:
        """What `environ` says; see `ProjectionConfig.read`. Raises SettingError."""
        config = ProjectionConfig.read(environ, prefix, flush_s)
        data = environ.get(DATA)
        return cls(CloudSettings.read(environ), read_blobs(environ), config, Path(data, OWNERS) if data else None)
