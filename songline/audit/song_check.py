"""Checks the catalog against the reference. Pure."""

from collections.abc import Iterator, Mapping

from songline.audit import chart_reference
from songline.audit.hub_log import HubLog
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.events import SongUploaded
from songline.schemas.songs import Song


def check_songs(log: HubLog, songs: Mapping[str, Song]) -> Proof:
    """`songs`: all songs of the catalog, by id."""
    return proof(
        "catalog-equals",
        "The catalog has every song that was uploaded and not removed, as its owner last said, and no other.",
        {"songs": len(songs), "events": len(log.events)},
        _wrong(log, songs),
    )


def _wrong(log: HubLog, songs: Mapping[str, Song]) -> Iterator[Difference]:
    facts = chart_reference.song_facts(log.events)
    wanted = {song: fact for song, fact in facts.items() if isinstance(fact.data, SongUploaded)}
    for song in sorted(wanted.keys() | songs.keys()):
        where = f"/v1/songs/{song}"
        if song not in songs:
            yield Difference(f"song {song} is missing", wanted[song].data, None, where)
        elif song not in wanted:
            yield Difference(f"song {song} is there", None, songs[song], where)
        else:
            event, seen = wanted[song], songs[song]
            said = event.data
            assert isinstance(said, SongUploaded)
            expected = {
                "userId": said.user_id,
                "title": said.title,
                "artist": said.artist,
                "durationMs": said.duration_ms,
                "genre": said.genre,
                "sha256": said.sha256,
                "size": said.size,
                "uploadedAt": event.time,
            }
            found = {
                "userId": seen.user_id,
                "title": seen.title,
                "artist": seen.artist,
                "durationMs": seen.duration_ms,
                "genre": seen.genre,
                "sha256": seen.sha256,
                "size": seen.size,
                "uploadedAt": seen.uploaded_at,
            }
            wrong = [name for name in expected if expected[name] != found[name]]
            if wrong:
                pair = ({name: expected[name] for name in wrong}, {name: found[name] for name in wrong})
                yield Difference(f"song {song} differs in {', '.join(wrong)}", *pair, where)
