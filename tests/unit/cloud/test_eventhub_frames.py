"""How the SDK reads frames: what is in memory without a timer, all else as it does by itself."""

from io import BytesIO
from typing import Any

import pytest

from songline.cloud import eventhub_frames

FRAME = (16).to_bytes(4, "big") + bytes(12)


class _Reader:
    def __init__(self, arrived: bytes) -> None:
        self._buffer = bytearray(arrived)


class _Transport:
    def __init__(self, arrived: bytes, begun: bytes = b"", read: int = 0) -> None:
        self.reader = _Reader(arrived)
        self._read_buffer = BytesIO(begun)
        self._read_buffer.seek(read)


@pytest.mark.parametrize(
    ("transport", "passed_on"),
    [
        (_Transport(FRAME), None),
        (_Transport(FRAME + FRAME[:5]), None),
        (_Transport(FRAME, begun=b"gone", read=4), None),
        (_Transport(b""), 0.2),
        (_Transport(FRAME[:7]), 0.2),
        (_Transport(FRAME[:15]), 0.2),
        (_Transport(FRAME, begun=b"half"), 0.2),
        (object(), 0.2),
    ],
)
async def test_only_a_frame_that_has_arrived_is_read_without_a_timer(
    transport: object, passed_on: float | None
) -> None:
    seen: list[float | None] = []

    async def receive(transport: object, **options: Any) -> tuple[object, object]:
        seen.append(options["timeout"])
        return None, options["kept"]

    assert await eventhub_frames._without_timer(receive)(transport, timeout=0.2, kept=1) == (None, 1)
    assert seen == [passed_on]


def test_the_installed_sdk_is_the_one_that_is_known() -> None:
    assert eventhub_frames.install()
    assert eventhub_frames.install()
