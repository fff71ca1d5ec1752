"""How far the changelog of a shard has nothing but what the shard has: so far an image of it may cover."""

from collections.abc import Iterable


class SavedThrough:
    """All records of a partition up to `offset` are in the shard: it was restored by these, or has saved them since.

    A record of another owner, who has not noticed that the shard is another one's, ends that for as long as the shard
    is held: `is_whole` is False then. `size_bytes`: so much was saved that no image has.
    """

    def __init__(self, offset: int, size_bytes: int) -> None:
        self.offset = offset
        self.size_bytes = size_bytes
        self.is_whole = True
        self.is_flushed = False
        """Whether anything was saved by this owner, and with it what it has taken over."""

    def advance(self, offsets: Iterable[int], size_bytes: int) -> None:
        """The shard has saved records, of so many bytes, at these offsets."""
        self.is_flushed = True
        self.size_bytes += size_bytes
        for offset in sorted(offsets):
            if offset == self.offset + 1:
                self.offset = offset
            else:
                self.is_whole = False
