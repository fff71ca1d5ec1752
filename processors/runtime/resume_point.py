"""Where a reader resumes a partition, or why it can't: the watermark against the hub as it is now. Pure."""

from collections.abc import Mapping, Set
from datetime import datetime, timedelta

from msgspec import Struct, structs

from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause

_SAME = timedelta(microseconds=500)
"""The hub tells milliseconds, which go through floating point on their way."""


class HubState(Struct, frozen=True):
    """A partition as its hub has it: when the hub was created, the positions of its first and last event. The `last` of
    an empty partition is before its `first`."""

    created_at: datetime
    first: int
    last: int


class ResumePoint(Struct, frozen=True):
    """Where a reader resumes: `watermark` is what is applied, `next_position` what it processes next."""

    watermark: Watermark
    next_position: int


class HubMismatch(Struct, frozen=True):
    """Why a reader can't resume: it would skip events, or count what was not applied."""

    cause: NotReadyCause
    sentence: str


def resume_point(stored: Watermark | None, hub: HubState, place: str) -> ResumePoint | HubMismatch:
    """Where a reader with the watermark `stored` resumes the partition `place` (`music-events/2`).

    A watermark without `created_at` was written before readers kept it, and is taken for one of this hub.
    """
    watermark = stored or Watermark(position=-1, through=None)
    own = f"own position {watermark.position}, the hub holds {_range(hub)}"
    if watermark.position < 0:
        # Nothing was applied, of this hub or another.
        return ResumePoint(structs.replace(watermark, position=-1, created_at=hub.created_at), hub.first)
    if watermark.created_at is not None and not same_hub(watermark.created_at, hub.created_at):
        made = f"the hub was made anew at {hub.created_at:%Y-%m-%d %H:%M:%S}, after {own}"
        return HubMismatch(NotReadyCause.HUB_MADE_ANEW, f"{place}: {made}")
    if watermark.position > hub.last:
        return HubMismatch(NotReadyCause.BEYOND_END, f"{place}: the hub ends before what was applied: {own}")
    if watermark.position + 1 < hub.first:
        lost = hub.first - watermark.position - 1
        sentence = f"{place}: {lost} events were deleted before they were applied: {own}"
        return HubMismatch(NotReadyCause.RETENTION_PASSED, sentence)
    return ResumePoint(structs.replace(watermark, created_at=hub.created_at), watermark.position + 1)


def reset_watermark(stored: Watermark | None, hub: HubState) -> Watermark:
    """The watermark from which a reader begins again with the first event that the hub holds.

    In the same hub, events are found applied. In another one, positions begin a new generation.
    """
    before = stored or Watermark(position=-1, through=None)
    resets = before.resets + 1
    after = structs.replace(before, position=hub.first - 1, through=None, created_at=hub.created_at, resets=resets)
    found = resume_point(stored, hub, "")
    if isinstance(found, ResumePoint):
        return after
    if found.cause is NotReadyCause.RETENTION_PASSED:
        return structs.replace(after, lost=before.lost + hub.first - before.position - 1)
    return structs.replace(after, generation=next_generation(before), lost=before.lost + hub.first)


def next_generation(before: Watermark) -> int:
    """The generation of the positions of a hub that was made anew: above that of `before`, and of all of its resets."""
    return max(before.resets, before.generation) + 1


def missing_partitions(stored: Mapping[str, Watermark], partitions: Set[str], hub: str) -> dict[str, HubMismatch]:
    """By partition, why a reader can't resume those with a watermark that are not among the hub's `partitions`."""
    return {
        partition: HubMismatch(
            NotReadyCause.HUB_MADE_ANEW,
            f"{hub}/{partition}: own position {watermark.position}, and the hub has no such partition:"
            " it was made anew",
        )
        for partition, watermark in stored.items()
        if partition not in partitions
    }


def same_hub(one: datetime, other: datetime) -> bool:
    """Whether two hubs of one name, created at these moments, are the same hub."""
    return abs(one - other) < _SAME


def _range(hub: HubState) -> str:
    return "nothing" if hub.last < hub.first else f"{hub.first} to {hub.last}"
