"""What stands behind the sound is no harm, a file that ends within its sound is refused, and so is what is known by its
first bytes and not read."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from tests.support import odd_audio as odd
from tests.support.audio import song
from tests.unit.ingestion.test_odd_files import probed, refused

BEHIND = {
    "a line feed": b"\r\n",
    "noise": b"\x81\x02 noise" + bytes(range(1, 255)) * 4,
    "a page": b"<html>404 Not Found</html>",
    "a picture": b"\xff\xd8\xff\xe0" + bytes(range(1, 255)) * 4,
    "ones": b"\xff" * 300,
    "an ID3v2 tag": odd.id3v2("Behind"),
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(
    "written",
    [
        ("wav", "pcm_s16le"),
        ("w64", "pcm_s16le"),
        ("aiff", "pcm_s16be"),
        ("flac", "flac"),
        ("flac into a pipe", "flac"),
        ("caf", "pcm_s16be"),
        ("caf", "alac"),
        ("asf", "wmav2"),
        ("au", "pcm_s16be"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("matroska", "libopus"),
        ("matroska into a pipe", "libopus"),
        ("mp4", "aac"),
        ("ogg", "libopus"),
    ],
    ids=" ".join,
)
def test_bytes_behind_the_last_part_are_passed_over(written: tuple[str, str], behind: str) -> None:
    container, _, into_pipe = written[0].partition(" ")
    whole = _written(container, written[1], can_seek=not into_pipe)
    assert probed(whole + BEHIND[behind]).duration_ms == probed(whole).duration_ms


@cache
def _written(container: str, codec: str, *, can_seek: bool) -> bytes:
    return odd.encoded(container, codec, 1.0, can_seek=can_seek)


@pytest.mark.parametrize("make", [lambda: song("flac", 1.0), lambda: odd.piped_flac(song("flac", 1.0))])
def test_flac_that_is_cut_within_its_last_frame_stays_refused(make: Callable[[], bytes]) -> None:
    whole = make()
    for less in (1, 2, 3, 10, 100, 200, 400):
        assert refused(whole[:-less]).reason.cause == "cut-off", less


@pytest.mark.parametrize("bits", ["s16", "s32"])
@pytest.mark.parametrize("level", ["0", "5", "12"])
def test_every_kind_of_flac_frame_ends_where_it_ends(bits: str, level: str) -> None:
    noise = np.random.default_rng(1).integers(-20_000, 20_000, (2, 9_000))
    noise[:, 3_000:6_000] = 77
    noise[1, 6_000:] = noise[0, 6_000:] + 3
    whole = odd.encoded_samples("flac", "flac", noise, sample_format=bits, options={"compression_level": level})
    assert probed(whole + BEHIND["noise"]).duration_ms == probed(whole).duration_ms


@pytest.mark.parametrize(
    ("container", "codec"), [("mp3", "libmp3lame"), ("mp2", "mp2"), ("adts", "aac"), ("ac3", "ac3")]
)
def test_a_stream_that_is_cut_within_its_first_frame_is_cut_off(container: str, codec: str) -> None:
    options = {"write_xing": "0", "id3v2_version": "0"} if container == "mp3" else {}
    whole = odd.encoded(container, codec, 0.5, options=options)
    for left in (8, 20, 60):
        assert refused(whole[:left]).reason.cause == "cut-off", left


@pytest.mark.parametrize("octets", [b"\0\xff\xfb\x90\x64", b"\xff\xfd\x54\x00\0", b"\xff\xf3\x84\xc4"])
def test_bytes_that_look_like_one_header_are_no_mp3(octets: bytes) -> None:
    assert refused(bytes(range(1, 200)) * 50 + octets + bytes(range(1, 60))).reason.cause == "not-audio"


def test_musepack_is_as_long_as_its_header_says() -> None:
    whole = odd.musepack8(88_200 + 1_000, silence=1_000)
    assert (probed(whole).format, probed(whole).duration_ms) == ("mpc", 2000)
    tagged = probed(odd.id3v2("Before") + whole + odd.apev2(Title="Ape"))
    assert (tagged.duration_ms, tagged.metadata.title) == (2000, "Before")
    for left in (10, 100, len(whole) // 2, len(whole) - 4, len(whole) - 1):
        assert refused(whole[:left]).reason.cause == "cut-off", left


@pytest.mark.parametrize(("last", "samples"), [(None, 3 * 1152 - 481), (1152, 3 * 1152), (400, 2 * 1152 + 400)])
def test_elder_musepack_is_as_long_as_its_frames(last: int | None, samples: int) -> None:
    whole = odd.musepack7([3_001, 0, 777], last)
    assert probed(whole).duration_ms == round(samples / 44.1)
    assert probed(whole + odd.apev2(Title="Ape")).metadata.title == "Ape"
    for left in (20, 200, len(whole) - 4):
        assert refused(whole[:left]).reason.cause == "cut-off", left


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"Creative Voice File\x1a", "Creative Voice"),
        (b"FORM\0\0\1\0" + b"8SVX", "8SVX"),
        (b"FLV\x01\x05", "Flash film"),
        (b"\0\0\x01\xba\x44", "MPEG film"),
        (b"\xfe\x7f\x01\x80", "DTS"),
        (b"RIFF\0\0\1\0RMID", "MIDI"),
        (b".ra\xfd\0\3", "RealAudio"),
        (b"ajkg\2", "Shorten"),
    ],
)
def test_what_is_known_and_not_read_is_named(head: bytes, name: str) -> None:
    answer = refused(head + bytes(range(1, 250)) * 20)
    assert answer.reason.cause in ("unsupported", "not-audio")
    assert name in answer.reason.text
