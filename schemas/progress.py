"""How far a projection has applied `music-events`: the watermarks that its worker writes and that answers carry."""

from msgspec import Struct

from songline.schemas.types import Moment

PROGRESS = "@progress"
"""The id of the document that says how far a projection is. No song or listener can have it: `@` is not of an Id."""


class Watermark(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a partition is applied: its event at `position` and all before; `through`: all that the hub had then.

    Positions are of the hub that was created at `created_at`, None where that is not known. `resets` counts how often
    an operator set the position by hand; `generation` is what it was when the hub had been made anew the last time:
    positions of two generations can't be compared. `lost`: events that the hub deleted before they were applied.
    """

    position: int
    through: Moment | None
    created_at: Moment | None = None
    generation: int = 0
    resets: int = 0
    lost: int = 0


class WatermarkDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the projection is, by partition of `music-events`."""

    id: str
    partitions: dict[str, Watermark]


class Freshness(Struct, frozen=True, kw_only=True, rename="camel"):
    """How fresh an answer is. `as_of`: the moment that it is of; `complete_through`: every event that the hub had
    before this moment is in it, None while that is not known; `position`: partition of `music-events` to the sequence
    number of the last event that is in it, -1 for none."""

    as_of: Moment
    complete_through: Moment | None
    position: dict[str, int]


class ChartsFreshness(Freshness, frozen=True, kw_only=True, rename="camel"):
    """How fresh all charts are at least, but those in `refused`, by their keys: the store did not take these as they
    are now. They are as fresh as they say."""

    refused: tuple[str, ...] = ()


GENERATION = 1 << 42
"""More events than a partition ever holds; and a position of generation 1,000 is still a whole number in JSON."""


def lasting_position(generation: int, position: int) -> int:
    """A position that is beyond all those of earlier generations: what projections keep beside what they applied."""
    return generation * GENERATION + position


def split_position(lasting: int) -> tuple[int, int]:
    """The generation of a lasting position, and the position within it; -1 is (0, -1)."""
    generation, position = divmod(lasting + 1, GENERATION)
    return generation, position - 1
