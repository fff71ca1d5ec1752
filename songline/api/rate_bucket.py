"""Token buckets: how many requests, or bytes of files, a caller may send at a time. Pure.

A bucket holds up to `burst` of them and gains `per_s` a second. All that is kept of it is when it is full again: it is
full of a caller who was not seen before, and of one who is forgotten. A request that turns out to cost more than one is
let in, and what the bucket lacks is owed: nothing more comes in until that has come back.
"""

import math

from msgspec import Struct


class BucketPolicy(Struct, frozen=True):
    """A bucket of up to `burst` requests or bytes that gains `per_s` a second."""

    per_s: float
    burst: int

    @property
    def window_s(self) -> int:
        """Whole seconds in which an empty bucket is full."""
        return max(1, math.ceil(self.burst / self.per_s - 1e-6))


class Drawn(Struct, frozen=True):
    """What a request found. `full_s`: when the bucket is full again; of a request that is not `allowed`, as before it.

    `remaining` whole requests are left. In `reset_s` seconds the bucket is full, in `next_s` it has one request more
    than now.
    """

    allowed: bool
    full_s: float
    remaining: int
    reset_s: int
    next_s: int


def draw(policy: BucketPolicy, full_s: float, now_s: float, amount: int = 1) -> Drawn:
    """Take `amount` out of a bucket that is full again at `full_s`, all or none. Seconds are of one steady clock."""
    return _drawn(policy, full_s, now_s, amount, policy.burst)


def give_back(policy: BucketPolicy, full_s: float, now_s: float, amount: int) -> Drawn:
    """Put back what was taken and is not used."""
    return _drawn(policy, full_s, now_s, -amount, policy.burst)


def wait_s(policy: BucketPolicy, full_s: float, now_s: float, amount: int) -> int:
    """Whole seconds, at least one, until `amount` can be taken, if nothing else is taken until then."""
    lacking_s = max(full_s, now_s) - now_s + (amount - policy.burst) / policy.per_s
    return max(1, math.ceil(lacking_s - 1e-6))


def owe(policy: BucketPolicy, full_s: float, now_s: float, requests: int) -> Drawn:
    """Take so many `requests` more for one that was let in, all or none: none where something is owed already."""
    return _drawn(policy, full_s, now_s, requests, policy.burst + requests)


def _drawn(policy: BucketPolicy, full_s: float, now_s: float, amount: int, most: int) -> Drawn:
    """`amount` is taken where no more than `most` are missing then."""
    each_s = 1 / policy.per_s
    after_s = max(full_s, now_s) + amount * each_s
    # Sums of many thirds and tenths are a little off.
    allowed = after_s - now_s <= most * each_s * (1 + 1e-9)
    kept_s = after_s if allowed else full_s
    missing = max(0.0, kept_s - now_s) * policy.per_s
    remaining = min(policy.burst, max(0, math.floor(policy.burst - missing + 1e-6)))
    next_s = (remaining + 1 - (policy.burst - missing)) * each_s if remaining < policy.burst else 0.0
    return Drawn(allowed, kept_s, remaining, math.ceil(missing * each_s - 1e-6), max(0, math.ceil(next_s - 1e-6)))
