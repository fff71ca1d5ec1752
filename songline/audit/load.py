"""The events that an audit sends: simulated listeners, with names of the audit's own, and bad ones between. Pure."""

import random
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct, structs

from songline.audit.event_lane import SentEvent
from songline.audit.plan import AuditConfig
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed

BAD_SHARE = 0.01


BOTS = 2


class LoadNames(Struct, frozen=True):
    """What the ids of listeners and of songs begin with."""

    listeners: str = ""
    songs: str = ""


def players(config: AuditConfig, names: LoadNames) -> tuple[str, ...]:
    """The ids of the simulated listeners, who play and like; those who upload songs have others."""
    return tuple(f"{names.listeners}user-{number}" for number in range(config.listeners + BOTS))


def load(config: AuditConfig, start: datetime, names: LoadNames) -> Iterator[tuple[datetime, SentEvent]]:
    """Events without end, each with the moment at which it is due: some are sent twice, some overtake others, some are
    late by up to a month, and a few break the contract."""
    chance = random.Random(f"bad events {config.seed}")
    world = SimulationConfig(
        rate=config.rate,
        listeners=config.listeners,
        songs=config.songs,
        duplicates=0.05,
        late=0.05,
        disorder=0.1,
        uploads=0.01,
        removals=0.2,
        likes=0.2,
        unlikes=0.3,
        bots=BOTS,
    )
    for number, (due, event) in enumerate(Simulation(config.seed, start, world)):
        named = _named(event, names)
        yield due, SentEvent(named.id, named.partition_key, encode(named))
        if chance.random() < BAD_SHARE:
            yield due, _broken(named, f"audit-bad-{number}")


def _named(event: Event, names: LoadNames) -> Event:
    data = event.data
    return structs.replace(
        event, data=structs.replace(data, user_id=names.listeners + data.user_id, song_id=names.songs + data.song_id)
    )


def _broken(event: Event, id_: str) -> SentEvent:
    played = SongPlayed(user_id=event.data.user_id, song_id=event.data.song_id, played_ms=-1)
    return SentEvent(id_, event.partition_key, encode(structs.replace(event, id=id_, data=played)), is_good=False)
