"""What an audit does, as values that follow from its seed: how much load, which faults, in which order. Pure."""

import random
from collections.abc import Iterator
from typing import Literal, get_args

from msgspec import Struct

PROCESSES = ("trending", "catalog", "library", "ingestion", "api")
"""The processes that say of themselves whether they are ready."""
SERVICES = ("localcloud", "azurite", "up")
"""What all of them need: the services, Blob Storage, and the supervisor that starts everything again."""

FaultKind = Literal["kill", "stop", "cut", "lose", "throttle", "busy", "detach", "duplicate", "slow-disk", "full-disk"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

WORDS: dict[FaultKind, str] = {
    "kill": "processes killed (SIGKILL)",
    "stop": "processes stopped and continued (SIGSTOP, SIGCONT)",
    "cut": "spells of connections cut",
    "lose": "spells of answers lost after the work was done",
    "throttle": "spells of requests throttled (429)",
    "busy": "spells of a busy broker",
    "detach": "spells of links detached",
    "duplicate": "spells of messages delivered twice",
    "slow-disk": "spells of slow writes",
    "full-disk": "spells of a full disk",
}

KILLS_PER_ROUND = 12
ROUND_PAUSE_S = 2.5
"""The mean time between two faults."""

_TARGETS = {"trending": 4, "catalog": 3, "library": 4, "ingestion": 3, "api": 4, "localcloud": 3, "azurite": 1, "up": 1}
_HOLDS_S: dict[FaultKind, tuple[float, float]] = {
    "kill": (0.0, 0.0),
    "stop": (1.0, 8.0),
    "cut": (2.0, 5.0),
    "lose": (2.0, 5.0),
    "throttle": (2.0, 6.0),
    "busy": (2.0, 5.0),
    "detach": (2.0, 5.0),
    "duplicate": (2.0, 5.0),
    "slow-disk": (2.0, 6.0),
    "full-disk": (2.0, 5.0),
}


class AuditConfig(Struct, frozen=True, kw_only=True):
    """What the caller asks for. `minutes` of load; `rate` events a second. `is_here`: on the system that runs."""

    seed: int
    minutes: float = 2.0
    is_chaotic: bool = False
    rate: float = 40.0
    uploads_each_s: float = 0.25
    bad_records_each_s: float = 0.5
    is_here: bool = False
    recovers_s: float = 150.0
    """How long a process may take to be ready again, and the system to come to rest."""

    @property
    def listeners(self) -> int:
        """How many simulated listeners there are: each one's library is read at the end."""
        # Those of the running system have to be in its policy, and are erased one after another.
        return 6 if self.is_here else min(200, 20 + int(50 * self.minutes))

    @property
    def songs(self) -> int:
        return 12 if self.is_here else min(100, 20 + int(20 * self.minutes))


class PlannedFault(Struct, frozen=True):
    """After `pause_s`, something is done to `target` for `hold_s`; a kill takes no time. `seed` is that of the requests
    which are struck."""

    kind: FaultKind
    target: str
    pause_s: float
    hold_s: float
    seed: int


def fault_rounds(seed: int) -> Iterator[tuple[PlannedFault, ...]]:
    """Rounds of faults without end. Each has every kind at least once, and KILLS_PER_ROUND kills, in random order."""
    chance = random.Random(f"faults {seed}")
    while True:
        kills: list[FaultKind] = ["kill"] * (KILLS_PER_ROUND - 1)
        kinds = [*kills, *KINDS]
        chance.shuffle(kinds)
        yield tuple(_fault(kind, chance) for kind in kinds)


def _fault(kind: FaultKind, chance: random.Random) -> PlannedFault:
    targets = {name: weight for name, weight in _TARGETS.items() if kind == "kill" or name != "up"}
    target = chance.choices(list(targets), list(targets.values()))[0] if kind in ("kill", "stop") else "localcloud"
    pause_s = round(chance.uniform(0.4, 1.6) * ROUND_PAUSE_S, 2)
    return PlannedFault(kind, target, pause_s, round(chance.uniform(*_HOLDS_S[kind]), 2), chance.randrange(1 << 30))
