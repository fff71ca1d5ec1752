"""Provisioned throughput: who has spent the request units of this second has to wait (429).

A token bucket for each offer (a container's, or the one that a database's containers share): it fills with the offer's
request units a second and holds one second's worth. A request is let in while something is left, and may spend more
than that, since its charge is known only afterwards; what is owed has to flow in before the next one. The service
divides an offer among physical partitions, which here does not happen.
"""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from localcloud.cosmos.address import Address
from localcloud.cosmos.catalog import Catalog
from localcloud.cosmos.errors import NotFound


class Bucket:
    """`level` request units were left at `at_ms`; `rate` flow in each second."""

    def __init__(self, rate: float, now_ms: int) -> None:
        self.rate = rate
        self.level = rate
        self.at_ms = now_ms

    def fill(self, rate: float, now_ms: int) -> None:
        """Let flow in what came since; a clock that went back brings nothing."""
        flowed = self.rate * max(0, now_ms - self.at_ms) / 1000
        self.level = min(rate, self.level + flowed)
        self.rate, self.at_ms = rate, now_ms

    @property
    def wait_ms(self) -> int | None:
        """How long until a request is let in; None when one is."""
        return None if self.level > 0 else math.floor(-self.level / self.rate * 1000) + 1


class Throughput:
    """Holds to their offers the databases whose names match a pattern in `enforced`, which may change at any time."""

    def __init__(self, catalog: Catalog, enforced: Sequence[str] = ()) -> None:
        self.enforced = list(enforced)
        self._catalog = catalog
        self._buckets: dict[str, Bucket] = {}

    def wait_ms(self, address: Address, now_ms: int) -> int | None:
        """How long the request has to wait, in milliseconds; None when it may go on."""
        bucket = self._bucket(address, now_ms)
        return bucket.wait_ms if bucket else None

    def spend(self, address: Address, charge: float, now_ms: int) -> None:
        bucket = self._bucket(address, now_ms)
        if bucket:
            bucket.level -= charge

    def _bucket(self, address: Address, now_ms: int) -> Bucket | None:
        """None for what nothing limits: metadata, serverless or unknown containers, and databases left alone."""
        if not self.enforced or not address.container:
            return None
        try:
            container = self._catalog.container(address.database, address.container)
        except NotFound:
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
