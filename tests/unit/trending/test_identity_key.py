"""One key is used by several threads, as shards are restored."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from songline.processors.trending.cells.identity_key import IdentityKey

SECRET = bytes(range(16))
THREADS, TIMES = 4, 40


def test_threads_share_a_key() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**63, (20_000, 2)).astype(np.uint64)
    key, wanted = IdentityKey(SECRET), IdentityKey(SECRET).identities(hashes)

    def encrypt(_: int) -> bool:
        return all((key.identities(hashes) == wanted).all() for _ in range(TIMES))

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(encrypt, range(THREADS)))
