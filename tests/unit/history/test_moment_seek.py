"""The last event of a file before a second is found by a few blocks, and is the one that a reading finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.archive.avro_blocks import read_header
from songline.processors.history.index import moment_seek
from songline.processors.history.index.moment_seek import WINDOW_BYTES, MomentSeek
from tests.support.capture_files import NOON, capture_file, record


def seek_in(made: bytes) -> tuple[MomentSeek, list[int]]:
    """A file to seek in, and how many bytes were read each time."""
    header, reads = read_header(made), list[int]()
    assert header is not None

    async def read(at: int, size: int) -> bytes:
        reads.append(size)
        return made[at : at + size]

    return MomentSeek(header, len(made), read), reads


@effort(15)
@given(data=st.data())
async def test_it_is_the_one_that_a_reading_finds(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 7]), min_size=1, max_size=120))
    seconds = [NOON + sum(steps[: at + 1]) for at in range(len(steps))]
    bodies = [b"\x07" * data.draw(st.sampled_from([1, 1, 1, 3_000])) for _ in seconds]
    made = capture_file(
        [record(40 + at, second, body) for at, (second, body) in enumerate(zip(seconds, bodies, strict=True))],
        codec=data.draw(st.sampled_from(["null", "deflate", "snappy"])),
        block_bytes=data.draw(st.sampled_from([1, 2_000, 9_000])),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(moment_seek, "WINDOW_BYTES", data.draw(st.sampled_from([50, 2_000])))
        for until_s in {*seconds, seconds[0] - 1, seconds[-1] + 1}:
            before = [40 + at for at, second in enumerate(seconds) if second < until_s]
            seek, _ = seek_in(made)
            assert await seek.last_before(until_s) == (before[-1] if before else None)


async def test_of_a_large_file_a_few_parts_are_read() -> None:
    body = b"\x07" * 1_000
    made = capture_file((record(at, NOON + at, body) for at in range(20_000)), block_bytes=64_000)
    assert len(made) > 80 * WINDOW_BYTES
    for until in (1, 5_000, 19_999):
        seek, reads = seek_in(made)
        assert await seek.last_before(NOON + until) == until - 1
        assert sum(reads) <= 10 * WINDOW_BYTES
