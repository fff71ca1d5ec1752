"""The control endpoint refuses what it can't read, and says so."""

import httpx
import pytest

from localcloud.testing import LocalCloudProcess

BODIES = {
    "no JSON": b"{oops",
    "a byte that is not UTF-8": b'["\xff"]',
    "half of a surrogate pair": b'["\\ud800"]',
    "too deep": b"[" * 100_000,
    "the wrong shape": b'[{"partitions": null}]',
    "nothing": b"",
}


@pytest.mark.parametrize("path", ["/faults", "/throttling", "/hubs/music-events"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_what_cannot_be_read_is_refused(shared_localcloud: LocalCloudProcess, path: str, body: bytes) -> None:
    answer = httpx.put(f"http://127.0.0.1:{shared_localcloud.ports['control']}{path}", content=body, timeout=60)
    assert answer.status_code == 400, answer.text
