"""Provisioned throughput: a client that has spent the request units of this second has to wait (429).

A token bucket for each offer (a container's, or the one that a database's containers share): it fills with the offer's
request units a second and holds one second's worth. A request is admitted while the bucket is not empty. It may spend
more than that, because its charge is known only afterwards; then the bucket has to fill again before the next request.
Each operation of an unordered bulk is admitted by itself. The service divides an offer among physical partitions;
localcloud does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from localcloud.cosmos.catalog import Catalog
from localcloud.cosmos.errors import NotFoundError
from localcloud.cosmos.resource_path import ResourcePath


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a request may spend: `level` request units now, `rate` more in each second; by default without limit."""

    level: float = math.inf
    rate: float = math.inf

    def wait_ms(self, spent: float = 0.0) -> int | None:
        """How long an operation has to wait after its request has spent `spent`; None when it is admitted."""
        left = self.level - spent
        return None if left > 0 else math.floor(-left / self.rate * 1000) + 1


UNLIMITED = Allowance()


class Bucket:
    """`level` request units were left at `at_ms`; `rate` flow in each second."""

    def __init__(self, rate: float, now_ms: int) -> None:
        self.rate = rate
        self.level = rate
        self.at_ms = now_ms

    def fill(self, rate: float, now_ms: int) -> None:
        """Add the request units since the last call; none when the clock went back."""
        flowed = self.rate * max(0, now_ms - self.at_ms) / 1000
        self.level = min(rate, self.level + flowed)
        self.rate, self.at_ms = rate, now_ms

    @property
    def allowance(self) -> Allowance:
        return Allowance(self.level, self.rate)


class Throughput:
    """Enforces the offers of databases whose names match a pattern in `enforced`, which may change at any time."""

    def __init__(self, catalog: Catalog, enforced: Sequence[str] = ()) -> None:
        self.enforced = list(enforced)
        self._catalog = catalog
        self._buckets: dict[str, Bucket] = {}

    def allowance(self, address: ResourcePath, now_ms: int) -> Allowance:
        """What a request that arrives at `now_ms` may spend."""
        bucket = self._bucket(address, now_ms)
        return bucket.allowance if bucket else UNLIMITED

    def spend(self, address: ResourcePath, charge: float, now_ms: int) -> None:
        bucket = self._bucket(address, now_ms)
        if bucket:
            bucket.level -= charge

    def _bucket(self, address: ResourcePath, now_ms: int) -> Bucket | None:
        """None for requests without a limit: metadata, serverless or unknown containers, databases not enforced."""
        if not self.enforced or not address.container:
            return None
        try:
            container = self._catalog.container(address.database, address.container)
        except NotFoundError:
            return None
        database = container.database
        if not any(fnmatchcase(database.id, pattern) for pattern in self.enforced):
            return None
        link = container.link if container.link in self._catalog.throughput else database.link
        rate = self._catalog.throughput.get(link)
        if rate is None:
            return None
        bucket = self._buckets.setdefault(link, Bucket(rate, now_ms))
        bucket.fill(rate, now_ms)
        return bucket
