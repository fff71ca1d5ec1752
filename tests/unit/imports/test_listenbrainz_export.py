"""What is exported as ListenBrainz does is read again as it was."""

import io
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.erasure.listenbrainz_export import ExportedSong, write_listenbrainz
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions

BEGAN_S = 1_616_432_100
SONGS = {
    "song-1": ExportedSong("Paper Lanterns", ("Benno Falk", "Alba Reed"), "Harbour", 201_000),
    "name:x": ExportedSong("\u00f7", ("!!!",)),
}
listens = st.lists(
    st.tuples(st.integers(0, 40_000_000), st.sampled_from([*SONGS, "gone"]), st.sampled_from([0, 184_000])),
    max_size=12,
    unique_by=lambda listen: listen[:2],
)


@settings(effort(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(heard=listens)
def test_an_export_is_read_again_as_it_was(heard: list[tuple[int, str, int]], tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    moments = [((BEGAN_S + at_s) * 1_000_000, song_id, ms) for at_s, song_id, ms in heard]
    assert write_listenbrainz(file, "user-7", moments, ["song-1"], SONGS) == len(heard)
    rows = [row for _, row in read_history(io.BytesIO(file.read_bytes()), ReadOptions("user-7"))] if heard else []
    expected = [
        (at_us // 1_000, song.title, song.artists, song.album, ms or None, song.duration_ms)
        for at_us, song_id, ms in moments
        for song in (SONGS.get(song_id) or ExportedSong(song_id, ("Unknown artist",)),)
    ]
    found = [
        (row.began_ms, row.title, row.artists, row.album, row.played_ms, row.duration_ms)
        for row in rows
        if isinstance(row, HistoryListen)
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    with zipfile.ZipFile(file) as archive:
        assert b'"score":1' in archive.read("feedback.jsonl")
