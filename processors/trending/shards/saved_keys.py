"""Under which keys a shard is saved in its changelog, and which of them are to be deleted.

An owner writes keys of its own, so an owner that has lost the shard without noticing it overwrites nothing. What all
owners saved is merged.
"""

from itertools import count

from songline.processors.trending.shards.counts import BucketKey

CHANGES = 1_000_000
"""Rows that have changed are saved under numbers from here on, behind those of all pieces."""


class SavedKeys:
    """The keys of one shard that one owner writes, or has taken over from the owners before it."""

    def __init__(self, shard: int, owner: str) -> None:
        self._prefix = f"{shard}/{owner}/"
        self._counts: dict[BucketKey, set[str]] = {}
        self._changes: dict[BucketKey, list[str]] = {}
        self._places = count(CHANGES)
        self._deleted: list[str] = []

    @property
    def head(self) -> str:
        return f"{self._prefix}head"

    @property
    def waiting(self) -> str:
        """How the keys of the backlog's segments begin."""
        return f"{self._prefix}waiting/"

    def facts(self, piece: int) -> str:
        return f"{self._prefix}facts/{piece}"

    def counts(self, bucket: BucketKey, piece: int) -> str:
        """The key of a piece of a table, which is remembered with its bucket."""
        key = f"{self._prefix}{bucket.unit}/{bucket.bucket}/{bucket.source}/{piece}"
        self.take_over(bucket, key)
        return key

    def changes(self, bucket: BucketKey) -> str:
        """A new key for rows of a table that have changed."""
        key = self.counts(bucket, next(self._places))
        self._changes.setdefault(bucket, []).append(key)
        return key

    def take_changes(self, bucket: BucketKey) -> list[str]:
        """The keys of a table's changes that its pieces hold by now, to be deleted; each once."""
        keys = self._changes.pop(bucket, [])
        self._counts.get(bucket, set()).difference_update(keys)
        return keys

    def take_over(self, bucket: BucketKey, *keys: str) -> None:
        """Remember keys under which counts of the bucket are saved."""
        self._counts.setdefault(bucket, set()).update(keys)

    def drop(self, bucket: BucketKey) -> None:
        """Delete the keys of a bucket that is over."""
        self._deleted += self._counts.pop(bucket, ())
        self._changes.pop(bucket, None)

    def delete(self, *keys: str) -> None:
        """Delete keys under which a former owner saved what is over."""
        self._deleted += keys

    def saved(self) -> list[str]:
        """The keys under which tables are saved, also those that are still to be deleted."""
        return [*(key for keys in self._counts.values() for key in keys), *self._deleted]

    def take_deleted(self) -> list[str]:
        """The keys to delete, each once."""
        deleted, self._deleted = self._deleted, []
        return deleted


def table_of(key: str) -> BucketKey | None:
    """The table of which something is saved under a key, None where it is no table's."""
    match key.split("/")[2:]:
        case ["minute" | "hour" as unit, bucket, source, _]:
            return BucketKey(unit, int(bucket), int(source))
    return None
