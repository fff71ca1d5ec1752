"""Checks that each record that nobody can read is parked once, by every reader, and that no other is. Pure."""

from collections.abc import Collection, Iterator, Mapping

from songline.audit.hub_log import HubLog
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import read_envelope, split_type
from songline.schemas.errors import PoisonError
from songline.schemas.events import EVENTS, SongRemoved, SongUploaded
from songline.schemas.parked import parked_id

READERS = frozenset({"catalog", "library", "trending"})
SONGS_READERS = frozenset({"catalog"})
"""Readers that pass over what says that it is not about songs, without looking at the rest of it."""
_ABOUT_SONGS = {name for name, (_, payload) in EVENTS.items() if payload in (SongUploaded, SongRemoved)}


def readers_of(body: bytes) -> frozenset[str]:
    """The readers that must park a record with this body, which nobody can read."""
    try:
        name, _ = split_type(read_envelope(body).type)
    except PoisonError:
        return READERS
    return READERS if name in _ABOUT_SONGS else READERS - SONGS_READERS


def check_parked(sent: int, log: HubLog, parked: Mapping[str, Collection[str]]) -> Proof:
    """`sent`: so many bad records were acknowledged. `parked`: the readers of each parked record, by its id."""
    return proof(
        "bad-records-parked",
        "Each record that breaks its contract is parked once by every reader that looks at it, and no other record is.",
        {"bad records": len(log.unreadable), "acknowledged": sent},
        _wrong(sent, log, parked),
    )


def _wrong(sent: int, log: HubLog, parked: Mapping[str, Collection[str]]) -> Iterator[Difference]:
    if len(log.unreadable) < sent:
        yield Difference("bad records were acknowledged and are not there", sent, len(log.unreadable), "the hub")
    bad = {parked_id(MUSIC_EVENTS, str(one.partition), one.position): readers_of(one.body) for one in log.unreadable}
    for id_ in sorted(bad.keys() | parked.keys()):
        readers, wanted = set(parked.get(id_, ())), bad.get(id_, frozenset())
        if readers != wanted:
            yield Difference(f"record {id_}", sorted(wanted), sorted(readers), f"songline parked show {id_}")
