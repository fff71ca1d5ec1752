"""Whether a position that was noted is one of the hub as it is now. Pure."""

from collections.abc import Mapping, Set
from datetime import datetime, timedelta

from msgspec import Struct, structs

from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause

_SAME = timedelta(microseconds=500)
"""The hub tells milliseconds, which go through floating point on their way."""


class HubState(Struct, frozen=True):
    """A partition as its hub tells it: when the hub was created, the positions of its first and last event; an empty
    partition's `last` is before its `first`."""

    created_at: datetime
    first: int
    last: int


class ResumePoint(Struct, frozen=True):
    """What a reader goes on from: `reached` is what is applied, `next` the position that it folds next."""

    reached: Watermark
    next: int


class HubMismatch(Struct, frozen=True):
    """Why a reader can't go on: folding on would pass events over, or count what was not applied."""

    cause: NotReadyCause
    sentence: str


def resume_point(noted: Watermark | None, hub: HubState, place: str) -> ResumePoint | HubMismatch:
    """How a reader stands to its hub; `place` is `music-events/2`. A position without `created_at`, of a reader that
    did not keep it yet, is taken for one of this hub."""
    reached = noted or Watermark(position=-1, through=None)
    own = f"own position {reached.position}, the hub holds {_range(hub)}"
    if reached.position < 0:
        # Nothing of it was applied, of whichever hub.
        return ResumePoint(structs.replace(reached, position=-1, created_at=hub.created_at), hub.first)
    if reached.created_at is not None and not same_hub(reached.created_at, hub.created_at):
        made = f"the hub was made anew at {hub.created_at:%Y-%m-%d %H:%M:%S}, after {own}"
        return HubMismatch(NotReadyCause.HUB_MADE_ANEW, f"{place}: {made}")
    if reached.position > hub.last:
        return HubMismatch(NotReadyCause.BEYOND_END, f"{place}: the hub ends before what was applied: {own}")
    if reached.position + 1 < hub.first:
        lost = hub.first - reached.position - 1
        return HubMismatch(
            NotReadyCause.RETENTION_PASSED, f"{place}: {lost} events were deleted before they were applied: {own}"
        )
    return ResumePoint(structs.replace(reached, created_at=hub.created_at), reached.position + 1)


def reset_watermark(noted: Watermark | None, hub: HubState) -> Watermark:
    """The position that begins again with the first event that the hub holds.

    Of the same hub, what was applied is found applied again; of another one, positions begin a generation.
    """
    before = noted or Watermark(position=-1, through=None)
    resets = before.resets + 1
    after = structs.replace(before, position=hub.first - 1, through=None, created_at=hub.created_at, resets=resets)
    found = resume_point(noted, hub, "")
    if isinstance(found, ResumePoint):
        return after
    if found.cause is NotReadyCause.RETENTION_PASSED:
        return structs.replace(after, lost=before.lost + hub.first - before.position - 1)
    return structs.replace(after, generation=resets, lost=before.lost + hub.first)


def missing_partitions(noted: Mapping[str, Watermark], partitions: Set[str], hub: str) -> dict[str, HubMismatch]:
    """Why a reader can't go on in partitions of which something was applied and that the hub does not have."""
    return {
        partition: HubMismatch(
            NotReadyCause.HUB_MADE_ANEW,
            f"{hub}/{partition}: own position {reached.position}, and the hub has no such partition: it was made anew",
        )
        for partition, reached in noted.items()
        if partition not in partitions
    }


def same_hub(one: datetime, other: datetime) -> bool:
    """Whether two hubs of one name, created at these moments, are one."""
    return abs(one - other) < _SAME


def _range(hub: HubState) -> str:
    return "nothing" if hub.last < hub.first else f"{hub.first} to {hub.last}"
