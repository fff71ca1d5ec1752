"""Erasures of listeners: the documents of the container `erasures`. Each is a request, then a journal, then a receipt.

A request waits until `due_at`; until then it can be undone. Then a worker carries it out, step by step, and records
each step that is done. What is left in the end is the receipt: what was done where, and when, and nothing that leads
back to the listener but for the receipt's id, which the caller has.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from songline.schemas.types import Id, Moment

SongsChoice = Literal["remove", "keep"]
"""What becomes of the listener's songs: they are removed, or they stay and are nobody's."""

ErasureState = Literal["waiting", "running", "done", "undone"]

UNDO_WINDOW = timedelta(hours=24)
LONGEST_UNDO_WINDOW = timedelta(days=365)
_UNDO_WINDOW_S, _LONGEST_UNDO_WINDOW_S = (round(one.total_seconds()) for one in (UNDO_WINDOW, LONGEST_UNDO_WINDOW))
CHARTS_KEEP = timedelta(days=7, hours=1)
"""So long trending keeps its sets of keyed hashes."""

_HASH_BYTES = 16
_KEY = r"\A(?:[0-9a-f]{2}){0,64}\Z"


class ErasureStep(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A step that is done. `counts`: by what they are of, how many were erased or renamed; after a crash within the
    step, those since then. `note`: why there was nothing to do."""

    name: str
    done_at: Moment
    counts: dict[str, int] = {}
    note: str = ""


class StepProgress(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The step that is being done. `last` is where it goes on after a crash, `counts` what it did up to there, and
    `unreadable` what it could not read and tries again. `waits_for`: why it can't go on at the moment."""

    name: str
    counts: dict[str, int] = {}
    last: str = ""
    unreadable: tuple[str, ...] = ()
    waits_for: str = ""


class Erasure(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An erasure of a listener.

    `user_id` is there until the erasure is done or undone. `key` (hexadecimal digits) makes the names that the
    listener gets, and `listener` is their id hashed under it: both stay until the hub's tail has ended, so that a
    reader of the hub knows the listener's events there. `bounds`: partition of `music-events` to the sequence number
    up to which the listener is forgotten, of the hub that was created at `hub_created_at`. `uploads` and `imports`: the
    ids of those of the day before as they were then, until they are erased; None where that was not noted.

    `worker` carries it out until `lease_until`, unless it renews that. `tail_until` is when the hub's retention is over
    as far as the settings say; `charts_until`, when trending's sets of keyed hashes are gone.
    """

    id: Id
    state: ErasureState
    songs: SongsChoice
    requested_at: Moment
    due_at: Moment
    by: str
    user_id: Id | None = None
    key: Annotated[str, Meta(pattern=_KEY)] = ""
    listener: str = ""
    worker: str = ""
    lease_until: Moment | None = None
    begun_at: Moment | None = None
    bounds: dict[str, int] = {}
    hub_created_at: Moment | None = None
    uploads: tuple[str, ...] | None = None
    imports: tuple[str, ...] | None = None
    steps: tuple[ErasureStep, ...] = ()
    progress: StepProgress | None = None
    done_at: Moment | None = None
    undone_at: Moment | None = None
    tail_until: Moment | None = None
    charts_until: Moment | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be carried out, or being carried out."""
        return self.state in ("waiting", "running")

    def step(self, name: str) -> ErasureStep | None:
        """The step of this name, None while it is not done."""
        return next((step for step in self.steps if step.name == name), None)


class ErasureAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """An erasure as it is shown: nothing of it says who the listener is."""

    id: Id
    state: ErasureState
    songs: SongsChoice
    requested_at: Moment
    due_at: Moment
    begun_at: Moment | None
    done_at: Moment | None
    undone_at: Moment | None
    steps: tuple[ErasureStep, ...]
    progress: StepProgress | None
    tail_until: Moment | None
    charts_until: Moment | None


class ErasureRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a caller asks for: what becomes of the songs, and after how many seconds it begins."""

    songs: SongsChoice
    undo_window_s: Annotated[int, Meta(ge=0, le=_LONGEST_UNDO_WINDOW_S)] = _UNDO_WINDOW_S


def answer_of(erasure: Erasure) -> ErasureAnswer:
    """The erasure as it is shown."""
    return ErasureAnswer(**{name: getattr(erasure, name) for name in ErasureAnswer.__struct_fields__})


def listener_hash(user_id: str, key: bytes) -> str:
    """The listener's id, hashed under an erasure's key."""
    return blake2b(user_id.encode(), key=key, person=b"listener", digest_size=_HASH_BYTES).hexdigest()


def begun(erasure: Erasure, worker: str, now: datetime, lease: timedelta) -> Erasure:
    """The erasure in the hands of `worker`, which begins it or goes on with it."""
    return structs.replace(
        erasure, state="running", worker=worker, lease_until=now + lease, begun_at=erasure.begun_at or now
    )


def stepped(erasure: Erasure, name: str, counts: Mapping[str, int], note: str, now: datetime) -> Erasure:
    """The erasure after a step is done; the same where it is recorded already."""
    if erasure.step(name) is not None:
        return erasure
    step = ErasureStep(name=name, done_at=now, counts=dict(counts), note=note)
    return structs.replace(erasure, steps=(*erasure.steps, step), progress=None)


def finished(erasure: Erasure, now: datetime) -> Erasure:
    """The receipt: the listener's id is gone. The key stays until the hub's tail has ended (see `ended`)."""
    return structs.replace(
        erasure,
        state="done",
        user_id=None,
        worker="",
        lease_until=None,
        uploads=None,
        imports=None,
        progress=None,
        done_at=now,
        charts_until=now + CHARTS_KEEP,
    )


def ended(erasure: Erasure) -> Erasure:
    """The receipt once no event of the listener from before is in the hub: nothing is left to know them by."""
    return structs.replace(erasure, key="", listener="")


def undone(erasure: Erasure, now: datetime) -> Erasure:
    """A request that was taken back in time; nothing of the listener stays in it."""
    return structs.replace(erasure, state="undone", user_id=None, key="", listener="", undone_at=now)


def joined(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts added up by what they are of."""
    found: dict[str, int] = {}
    for some in counts:
        for what, count in some.items():
            found[what] = found.get(what, 0) + count
    return found
