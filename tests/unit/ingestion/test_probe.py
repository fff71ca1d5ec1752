"""Files as they come: the real format, by content, and a reason that people understand."""

import io
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.ingestion.audio.formats import MEDIA_TYPES, Format
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio, probe
from songline.schemas.commands import Metadata
from tests.support import hostile
from tests.support.audio import FORMATS, mp3_frames, song

TAGS = {"title": "Paper Lanterns", "artist": "Nova Reed", "album": "Dusk", "genre": "Indie"}


def probed(content: bytes) -> ProbedAudio:
    answer = probe(io.BytesIO(content))
    assert isinstance(answer, ProbedAudio), answer
    return answer


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_tells_what_it_is_how_long_and_what_it_is_called(name: Format) -> None:
    found = probed(song(name, 2.0, tags=TAGS))
    assert found.format == name
    assert found.content_type == MEDIA_TYPES[name]
    # Encoders of MP3 and AAC pad to whole frames.
    assert 2000 <= found.duration_ms <= 2060
    assert found.metadata == Metadata(title="Paper Lanterns", artist="Nova Reed", album="Dusk", genre="indie")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_without_tags_is_a_song_too(name: Format) -> None:
    assert probed(song(name)).metadata == Metadata()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("percent", [1, 10, 25, 50, 75, 95])
def test_a_file_that_is_cut_off_never_passes_for_a_whole_one(name: Format, percent: int) -> None:
    whole = song(name, 3.0, tags=TAGS)
    answer = probe(io.BytesIO(whole[: len(whole) * percent // 100]))
    assert isinstance(answer, RefusedAudio)
    # Of the smallest pieces it can't be said what they were.
    assert answer.reason.cause in (("cut-off",) if percent > 1 else ("cut-off", "corrupt", "not-audio"))


def test_an_mp3_from_the_air_is_as_long_as_what_is_there() -> None:
    frames = mp3_frames(4.0)
    assert 4000 <= probed(frames).duration_ms <= 4060
    assert 1900 <= probed(frames[: len(frames) // 2]).duration_ms <= 2100


def test_tags_at_the_end_of_an_mp3_are_no_sound() -> None:
    frames = mp3_frames(2.0)
    tag = b"TAG" + b"Paper Lanterns".ljust(125, b"\0")
    assert probed(frames + tag).duration_ms == probed(frames).duration_ms


def test_flac_may_stand_behind_an_id3_tag_and_before_one() -> None:
    tagged = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + song("flac") + b"TAG" + bytes(125)
    assert probed(tagged).format == "flac"


def test_a_file_of_no_length_holds_no_sound() -> None:
    answer = probe(io.BytesIO(song("wav", 0)))
    assert isinstance(answer, RefusedAudio)
    assert answer.reason.cause in ("empty", "corrupt")


@pytest.mark.parametrize(
    "cases", [hostile.broken, hostile.renamed, hostile.strange_tags, hostile.no_audio, hostile.other_audio]
)
def test_the_corpus(cases: Callable[[], dict[str, hostile.Case]]) -> None:
    wanted = cases()
    answers = {name: probe(io.BytesIO(case.content)) for name, case in wanted.items()}
    got = {
        name: hostile.READY if isinstance(answer, ProbedAudio) else answer.reason.cause
        for name, answer in answers.items()
    }
    assert got == {name: case.outcome for name, case in wanted.items()}
    sentences = [answer.reason.text for answer in answers.values() if isinstance(answer, RefusedAudio)]
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in sentences)


@given(st.binary(max_size=2000))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    assert isinstance(probe(io.BytesIO(content)), ProbedAudio | RefusedAudio)


changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20)


@effort(100)
@given(name=st.sampled_from(sorted(FORMATS)), changes=changes, early=st.booleans())
def test_any_damage_gets_an_answer(name: str, changes: list[tuple[float, int]], early: bool) -> None:
    damaged = bytearray(_whole(name))
    reach = min(len(damaged), 600) if early else len(damaged)
    for place, octet in changes:
        damaged[int(place * reach)] = octet
    assert isinstance(probe(io.BytesIO(damaged)), ProbedAudio | RefusedAudio)


@cache
def _whole(name: str) -> bytes:
    return song(name, 0.3, tags=TAGS)
