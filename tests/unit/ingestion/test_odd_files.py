"""Files of real collections: every one that a player plays is a song, with its right length."""

import io
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio, probe
from tests.support import odd_audio as odd
from tests.support.audio import id3, mp3_frames, song
from tests.support.hostile import READY, broken

AAC_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


def probed(content: bytes) -> ProbedAudio:
    answer = probe(io.BytesIO(content))
    assert isinstance(answer, ProbedAudio), answer
    return answer


def refused(content: bytes) -> RefusedAudio:
    answer = probe(io.BytesIO(content))
    assert isinstance(answer, RefusedAudio), answer
    return answer


@pytest.mark.parametrize("name", ["ogg", "opus"])
@pytest.mark.parametrize("samples", [1, 48_000 * odd.HOUR_S, 48_000 * odd.HOUR_S * 100])
def test_a_recording_that_is_cut_out_of_a_longer_one_begins_where_it_begins(name: str, samples: int) -> None:
    assert probed(odd.later(song(name, 8.0), samples)).duration_ms == 8000


@pytest.mark.parametrize("one", ["ogg", "opus"])
@pytest.mark.parametrize("other", ["ogg", "opus"])
def test_links_are_as_long_as_all_of_them(one: str, other: str) -> None:
    first = song(one, 2.0, tags={"title": "First"})
    found = probed(first + song(other, 1.0, pitch=880, tags={"title": "Second"}) + odd.later(song(one, 8.0), 999_999))
    assert (found.duration_ms, found.metadata.title, found.format) == (11_000, "First", one)


def test_links_may_have_other_parameters() -> None:
    links = [odd.encoded("ogg", codec, 1.5, rate=rate) for codec, rate in (("flac", 44_100), ("libopus", 48_000))]
    assert probed(b"".join(links) + song("ogg", 1.0)).duration_ms == 4000


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_a_last_page_need_not_say_that_it_is_the_last(name: str) -> None:
    assert probed(odd.endless(song(name))).duration_ms == 2000
    chained = odd.endless(song(name)) + odd.endless(song(name, 1.0))
    assert probed(chained).duration_ms == 3000


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_ogg_that_is_cut_within_a_page_stays_refused(name: str) -> None:
    whole = song(name)
    pages = list(odd.pages(whole))
    for left in (1, 3, 4, 20, 27, 30, len(pages[-1]) - 1):
        cut = b"".join(pages[:-1]) + pages[-1][:left]
        assert refused(cut).reason.cause == "cut-off", left
    assert refused(odd.endless(whole)[:-1]).reason.cause == "cut-off"
    assert refused(whole + song(name, 1.0)[:-1]).reason.cause == "cut-off"


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_ogg_without_its_beginning_says_what_is_missing(name: str) -> None:
    pages = list(odd.pages(song(name)))
    answer = refused(b"".join(pages[2:]))
    assert answer.reason.cause == "cut-off"
    assert "beginning is missing" in answer.reason.text


@pytest.mark.parametrize("name", ["ogg", "opus"])
@pytest.mark.parametrize("behind", [bytes(5000), odd.id3v1(b"Elsewhere"), odd.apev2(Title="Elsewhere"), b"junk" * 10])
def test_ogg_with_something_behind_it_is_taken(name: str, behind: bytes) -> None:
    assert probed(odd.id3v2("Elsewhere") + song(name, tags={"title": "Here"}) + behind).metadata.title == "Here"


def test_flac_that_was_written_to_a_pipe_is_as_long_as_its_frames() -> None:
    whole = song("flac")
    assert probed(odd.piped_flac(whole)).duration_ms == probed(whole).duration_ms == 2000
    assert refused(odd.piped_flac(whole)[:-10]).reason.cause == "cut-off"
    piped = odd.encoded("flac", "flac", can_seek=False)
    assert probed(piped).duration_ms == 2000


@pytest.mark.parametrize(
    "around", [bytes(5000), odd.id3v1(b"T"), odd.apev2(Title="T"), odd.lyrics3(b"la") + odd.id3v1()]
)
@pytest.mark.parametrize("make", [song, lambda name: odd.piped_flac(song(name))])
def test_flac_with_something_behind_it_is_taken(around: bytes, make: Callable[[str], bytes]) -> None:
    assert probed(make("flac") + around).duration_ms == 2000


def test_tags_of_others_are_used_where_flac_has_none() -> None:
    plain = odd.plain_flac()
    assert probed(odd.id3v2("Before") + plain).metadata.title == "Before"
    assert probed(plain + odd.id3v1(b"Behind")).metadata.title == "Behind"
    assert probed(plain + odd.apev2(Title="Ape", Artist="Reed") + odd.id3v1(b"Behind")).metadata.title == "Ape"
    own = odd.commented_flac(plain, ("TITLE", "Own"))
    found = probed(odd.id3v2("Before") + own + odd.apev2(Title="Ape", Artist="Reed")).metadata
    assert (found.title, found.artist) == ("Own", "Reed")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_that_was_never_finished_is_as_long_as_what_is_there(size: int) -> None:
    assert probed(odd.unfinished_wav(song("wav"), size)).duration_ms == 2000
    assert probed(odd.unfinished_wav(song("wav"), size) + odd.id3v1(b"T")).duration_ms == 2000


def test_a_wav_from_a_pipe_is_taken() -> None:
    assert probed(odd.encoded("wav", "pcm_s16le", can_seek=False)).duration_ms == 2000


@pytest.mark.parametrize(("container", "codec"), [("asf", "wmav2"), ("au", "pcm_s16be"), ("tta", "tta")])
def test_other_containers_from_a_pipe_are_taken(container: str, codec: str) -> None:
    piped = odd.encoded(container, codec, can_seek=False)
    assert abs(probed(piped).duration_ms - 2000) <= 60


def test_an_au_that_was_never_finished_is_as_long_as_what_is_there() -> None:
    au = odd.encoded("au", "pcm_s16be")
    assert probed(au[:8] + bytes(4) + au[12:]).duration_ms == 2000


def test_a_wav_of_the_other_byte_order_is_taken() -> None:
    samples = struct.pack(">88200h", *[7] * 88_200)
    fmt = b"fmt " + struct.pack(">LHHLLHH", 16, 1, 1, 44_100, 88_200, 2, 16)
    tags = b"LIST" + struct.pack(">L", 16) + b"INFOINAM" + struct.pack(">L", 4) + b"Big\0"
    content = b"WAVE" + fmt + tags + b"data" + struct.pack(">L", len(samples)) + samples
    whole = b"RIFX" + struct.pack(">L", len(content)) + content
    assert (probed(whole).duration_ms, probed(whole).metadata.title) == (2000, "Big")
    assert refused(whole[:-10]).reason.cause == "cut-off"


def test_of_several_id3_tags_the_first_that_says_something_counts() -> None:
    tags = odd.id3v2("") + bytes(20) + odd.id3v2("Second") + odd.id3v2("Third")
    assert probed(tags + odd.plain_flac()).metadata.title == "Second"
    assert probed(bytes(100) + tags + mp3_frames(1.0)).metadata.title == "Second"


def test_an_aiff_that_was_never_finished_is_as_long_as_what_is_there() -> None:
    aiff = song("aiff")
    common, sound = aiff.index(b"COMM") + 8, aiff.index(b"SSND") + 4
    for size in (0, 0xFFFFFFFF):
        unsure = aiff[:sound] + struct.pack(">I", size) + aiff[sound + 4 :]
        unsure = unsure[: common + 2] + bytes(4) + unsure[common + 6 :]
        # The chunk with tags that follows the sound counts as sound.
        assert 2000 <= probed(unsure).duration_ms <= 2005


@pytest.mark.parametrize("flags", [AAC_FRAGMENTS, "frag_keyframe+empty_moov", "dash+delay_moov", "frag_keyframe"])
def test_a_fragmented_mp4_is_as_long_as_its_fragments(flags: str) -> None:
    fragments = odd.encoded("mp4", "aac", options={"movflags": flags, "frag_duration": "500000"})
    assert fragments.count(b"moof") > 1
    assert abs(probed(fragments).duration_ms - 2000) <= 45
    assert refused(fragments[: len(fragments) // 2]).reason.cause == "cut-off"


def test_what_a_moov_says_of_a_fragmented_file_is_not_believed() -> None:
    fragments = odd.encoded("mp4", "aac", options={"movflags": AAC_FRAGMENTS, "frag_duration": "500000"})
    wanted = probed(fragments).duration_ms
    for name, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = fragments.index(name) + offset
        for units in (1, 90_000_000):
            fragments = fragments[:at] + struct.pack(">I", units) + fragments[at + 4 :]
            assert probed(fragments).duration_ms == wanted


@pytest.mark.parametrize(
    "behind", [bytes(1), bytes(5000), odd.id3v1(b"Title here"), odd.apev2(Title="T"), b"\1\2\3 noise" * 9]
)
@pytest.mark.parametrize("flags", ["", AAC_FRAGMENTS])
def test_an_m4a_with_something_around_it_is_taken(behind: bytes, flags: str) -> None:
    whole = odd.encoded("mp4", "aac", options={"movflags": flags} if flags else {})
    wanted = probed(whole).duration_ms
    assert probed(odd.id3v2("Before") + whole + behind).duration_ms == wanted
    assert refused(whole[:-20]).reason.cause == "cut-off"


def test_an_mp3_that_was_trimmed_at_a_frames_border_is_as_long_as_what_is_left() -> None:
    whole = song("mp3", 4.0)
    frames = odd.mpeg_frames(whole)
    half = len(frames) // 2
    trimmed = probed(b"".join(frames[:half]))
    assert abs(trimmed.duration_ms - (half - 1) * 1152 / 44.1) <= 30
    assert trimmed.note is not None
    assert "trimmed" in trimmed.note
    assert refused(b"".join(frames[:half]) + frames[half][:-1]).reason.cause == "cut-off"
    assert probed(b"".join(frames[:half]) + odd.id3v1(b"T")).duration_ms == trimmed.duration_ms
    assert probed(whole).note is None


def test_zeros_before_the_first_frame_are_passed_over() -> None:
    assert probed(bytes(100 << 10) + mp3_frames(2.0)).duration_ms == probed(mp3_frames(2.0)).duration_ms
    tagged = odd.id3v2("Before", 70_000) + bytes(100 << 10) + mp3_frames(2.0) + bytes(100 << 10)
    assert (probed(tagged).duration_ms, probed(tagged).metadata.title) == (
        probed(mp3_frames(2.0)).duration_ms,
        "Before",
    )


def test_mp3s_that_were_joined_are_as_long_as_both() -> None:
    one = mp3_frames(2.0)
    joined = odd.id3v2("One") + one + odd.id3v1(b"One") + odd.id3v2("Two", 90_000) + one
    assert abs(probed(joined).duration_ms - 2 * probed(one).duration_ms) <= 1


def test_free_format_is_named() -> None:
    answer = refused(odd.free_format())
    assert answer.reason.cause == "unsupported"
    assert "free format" in answer.reason.text


@pytest.mark.parametrize(
    "tags",
    [
        odd.apev2(Title="Ape") + odd.id3v1(b"Old"),
        odd.lyrics3(b"la la") + odd.id3v1(b"Ape"),
        odd.apev2(Title="Ape") + bytes(500),
    ],
)
def test_tags_behind_an_mp3_are_no_sound_and_are_read(tags: bytes) -> None:
    found = probed(mp3_frames(2.0) + tags)
    assert found.duration_ms == probed(mp3_frames(2.0)).duration_ms
    assert found.metadata.title == "Ape"


def test_an_id3v1_tag_of_zeros_says_nothing() -> None:
    for content in (mp3_frames(1.0), song("flac", 1.0), song("m4a", 1.0)):
        assert probed(content + odd.id3v1()).metadata.genre is None
    assert probed(mp3_frames(1.0) + odd.id3v1(b"Song", b"Reed", 0)).metadata.genre == "blues"


@pytest.mark.parametrize(
    ("raw", "title"),
    [("Café".encode(), "Café"), ("Джаз".encode(), "Джаз"), (b"Caf\xe9", "Café"), (b"plain", "plain")],
)
def test_text_of_tags_without_an_encoding_is_read_as_what_it_is(raw: bytes, title: str) -> None:
    assert probed(mp3_frames(1.0) + odd.id3v1(raw)).metadata.title == title
    assert probed(id3((b"TIT2", b"\0\0", b"\0" + raw)) + mp3_frames(1.0)).metadata.title == title
    wav = song("wav", 1.0)
    info = b"INFOINAM" + struct.pack("<I", len(raw) + 1) + raw + bytes(1 + (len(raw) + 1) % 2)
    assert probed(wav + b"LIST" + struct.pack("<I", len(info)) + info).metadata.title == title


PROMISED = {
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "flac"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
    "caf": ("caf", "pcm_s16be"),
    "au": ("au", "pcm_s16be"),
    "wav": ("w64", "pcm_s16le"),
    "ogg-flac": ("ogg", "flac"),
}


@pytest.mark.parametrize(("name", "written"), PROMISED.items())
def test_other_containers_are_taken_whole_and_refused_where_they_are_cut_off(
    name: str, written: tuple[str, str]
) -> None:
    whole = odd.encoded(*written)
    found = probed(whole)
    assert (found.format, abs(found.duration_ms - 2000) <= 10) == (name, True)
    for percent in (10, 50, 95):
        assert refused(whole[: len(whole) * percent // 100]).reason.cause == "cut-off", percent
    assert probed(whole + odd.id3v1(b"T")).duration_ms == found.duration_ms
    assert probed(odd.id3v2("Before") + whole).metadata.title == "Before"


@pytest.mark.parametrize(
    ("container", "codec", "name"), [("adts", "aac", "aac"), ("ac3", "ac3", "ac3"), ("mp2", "mp2", "mp2")]
)
def test_streams_of_frames_are_as_long_as_these(container: str, codec: str, name: str) -> None:
    whole = odd.encoded(container, codec)
    found = probed(odd.id3v2("Before") + whole + odd.id3v1(b"T"))
    assert (found.format, found.metadata.title) == (name, "Before")
    assert abs(found.duration_ms - 2000) <= 70
    assert abs(probed(whole[: len(whole) // 2]).duration_ms - found.duration_ms / 2) <= 100


@pytest.mark.parametrize("codec", ["libopus", "flac", "wavpack", "aac", "libmp3lame", "pcm_s16le"])
def test_matroska_that_was_recorded_live_is_as_long_as_its_last_block_says(codec: str) -> None:
    live = odd.encoded("matroska", codec, can_seek=False)
    assert abs(probed(live).duration_ms - 2000) <= 100


@pytest.mark.parametrize(("magic", "size"), [(b"#!AMR\n", 13), (b"#!AMR-WB\n", 18)])
def test_amr_is_as_long_as_its_frames(magic: bytes, size: int) -> None:
    assert probed(magic + (b"\x04" + bytes(size - 1)) * 100).duration_ms == 2000


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav", "pcm_alaw", "libmp3lame"])
def test_wav_holds_compressed_sound_too(codec: str) -> None:
    assert abs(probed(odd.encoded("wav", codec)).duration_ms - 2000) <= 60


@pytest.mark.parametrize("codec", ["adpcm_yamaha", "adpcm_g722", "aac", "ac3", "flac", "wmav2"])
def test_wav_of_any_other_codec_is_as_long_as_its_header_says(codec: str) -> None:
    found = probed(odd.encoded("wav", codec, rate=16_000 if codec == "adpcm_g722" else 48_000))
    assert abs(found.duration_ms - 2000) <= 60


def test_wav_of_another_codec_that_says_no_length_is_refused() -> None:
    wav = bytearray(song("wav"))
    fmt = wav.index(b"fmt ") + 8
    wav[fmt : fmt + 2], wav[fmt + 8 : fmt + 12] = b"\x77\x77", bytes(4)
    answer = refused(bytes(wav))
    assert answer.reason.cause == "unsupported"
    assert "does not say how long" in answer.reason.text


@given(st.sampled_from(sorted(PROMISED)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
@effort(30)
def test_any_damage_to_any_container_gets_an_answer(name: str, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(_whole(name))
    for place, octet in changes:
        damaged[int(place * min(len(damaged), 600))] = octet
    assert isinstance(probe(io.BytesIO(damaged)), ProbedAudio | RefusedAudio)


@cache
def _whole(name: str) -> bytes:
    return odd.encoded(*PROMISED[name], 0.3)


BOTH = ("Nova Reed, Ivo Lind", ("Nova Reed", "Ivo Lind"))


@pytest.mark.parametrize(
    ("made", "artist"),
    [
        (lambda: id3((b"TPE1", b"\0\0", b"\x03Nova Reed\0Ivo Lind")) + mp3_frames(1.0), BOTH),
        (
            lambda: id3((b"TPE1", b"\0\0", b"\x03\0Ivo Lind"), (b"TPE2", b"\0\0", b"\x03Various")) + mp3_frames(1.0),
            ("Ivo Lind", None),
        ),
        (lambda: id3((b"TPE2", b"\0\0", b"\x03Nova Reed")) + mp3_frames(1.0), ("Nova Reed", None)),
        (
            lambda: odd.commented_flac(
                song("flac", 1.0), ("ARTIST", ""), ("artist", "Nova Reed"), ("ARTIST", "Ivo Lind")
            ),
            BOTH,
        ),
        (lambda: mp3_frames(1.0) + odd.apev2(Artist="Nova Reed\0Ivo Lind"), BOTH),
        (lambda: song("ogg", 1.0, tags={"artist": "Nova Reed; Ivo Lind"}), BOTH),
        (lambda: song("wav", 1.0, tags={"artist": "Nova Reed; Ivo Lind"}), BOTH),
        (lambda: song("m4a", 1.0, tags={"artist": "Nova Reed; Ivo Lind"}), BOTH),
        (lambda: song("mp3", 1.0, tags={"artist": "!!!"}), ("!!!", None)),
    ],
)
def test_all_artists_of_a_file_are_kept(made: Callable[[], bytes], artist: tuple[str, tuple[str, ...] | None]) -> None:
    found = probed(made()).metadata
    assert (found.artist, found.artists) == artist


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"])
def test_genres_of_any_script_are_kept_and_told_apart(name: str) -> None:
    found = probed(song(name, 1.0, tags={"title": "÷", "genre": "Джаз; Synth-Pop"})).metadata
    assert (found.title, found.genre, found.genres) == ("÷", "джаз", ("джаз", "synth-pop"))


def test_what_is_broken_is_refused_the_same_way_on_disk(tmp_path: Path) -> None:
    """A file on disk refuses some reads that one in memory takes."""
    got, path = {}, tmp_path / "file"
    for name, case in broken().items():
        path.write_bytes(case.content)
        with path.open("rb") as file:
            answer = probe(file)
        got[name] = READY if isinstance(answer, ProbedAudio) else answer.reason.cause
    assert got == {name: case.outcome for name, case in broken().items()}
