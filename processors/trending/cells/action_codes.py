"""Song, region, minute of the hour and kind of an action in one integer."""

from songline.processors.trending.song_index import REGION_BITS, Ints

KIND_BITS = 2
MINUTE_BITS = 6
LOW_BITS = MINUTE_BITS + KIND_BITS
SONG_SHIFT = LOW_BITS + REGION_BITS


def code(song: Ints, region: Ints, minute: Ints, kind: Ints) -> Ints:
    """The integer of each action."""
    return ((song << REGION_BITS | region) << MINUTE_BITS | minute) << KIND_BITS | kind
