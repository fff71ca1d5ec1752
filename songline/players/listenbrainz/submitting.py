"""Takes the listens of a request: finds their songs, and publishes them. What is accepted is in the hub or on disk."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from songline.players.listenbrainz.api_imports import ApiImports, TakenCounts
from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.listen_events import SOURCE, imported, liked, played
from songline.players.listenbrainz.reported_songs import ReportedSongs
from songline.players.listenbrainz.submission import SubmittedListens
from songline.players.own_writes import WrittenPositions
from songline.players.tokens.player_token import PlayerToken
from songline.producers.http.announcer import Announcer
from songline.producers.http.event_charge import charge_events
from songline.producers.http.event_endpoint import EventEndpoint
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.schemas.acceptance import accept
from songline.schemas.envelope import Event, encode, uuid7
from songline.schemas.errors import ContractViolationError
from songline.schemas.live import LiveEvent, PlaybackStarted
from songline.schemas.permission import Permission
from songline.schemas.song_names import is_name_id

RETRY_S = 2


class ListenTaker(Struct, frozen=True):
    """Takes what the player of `token` reports. `scope` is the request's, `permission` what the token allows.
    `written` learns where it is in the hub. Without `announcer` nobody is told what plays."""

    endpoint: EventEndpoint
    songs: ReportedSongs
    imports: ApiImports
    written: WrittenPositions
    announcer: Announcer | None
    token: PlayerToken
    permission: Permission
    scope: Mapping[str, Any]

    async def take(self, submission: SubmittedListens, now: datetime) -> None:
        """Return when all listens are safe. Raises ListenBrainzError, RequestDeclinedError and ContractViolationError:
        the same may then be sent again, and what was taken of it is taken once."""
        charge_events(self.scope, len(submission.listens))
        if submission.listen_type == "playing_now":
            await self._announce(submission, now)
            return
        songs = await self.songs.of(self.token.user_id, submission.listens)
        if submission.listen_type == "import":
            await self._import(submission, songs, now)
            return
        pairs = zip(submission.listens, songs, strict=True)
        await self._publish([played(self.token.user_id, one, song_id) for one, song_id in pairs], now)

    async def like(self, song_id: str, now: datetime, *, is_liked: bool) -> None:
        """Return when the like, or that it is taken back, is safe. Raises as `take` does."""
        event_id = uuid7(int(now.timestamp() * 1_000), secrets.randbits(74))
        await self._publish([liked(self.token.user_id, song_id, now, event_id, is_liked=is_liked)], now)

    async def _import(self, submission: SubmittedListens, songs: Sequence[str], now: datetime) -> None:
        try:
            record = await self.imports.open(self.token, now)
            pairs = zip(submission.listens, songs, strict=True)
            events = [imported(self.token.user_id, one, song_id, record.found.id) for one, song_id in pairs]
            is_new = await self._publish(events, now)
            new = [song_id for song_id, one_is_new in zip(songs, is_new, strict=True) if one_is_new]
            by_name = sum(map(is_name_id, new))
            counts = TakenCounts(matched=len(new) - by_name, by_name=by_name, known=len(songs) - len(new))
            await self.imports.count(record, counts, now)
        except TransientError as error:
            raise ListenBrainzError(
                503, f"The store of imports gives no answer: {error}. Send it again.", RETRY_S
            ) from None

    async def _publish(self, events: Sequence[Event], now: datetime) -> list[bool]:
        """Whether each of the events is new here. Raises ContractViolationError before any is published, and
        RequestDeclinedError."""
        bodies = [encode(event) for event in events]
        for body in bodies:
            accept(body, now)
        taken = await self.endpoint.take(bodies, self.permission)
        self.written.remember(self.token.user_id, taken.position, now)
        for result in taken.results:
            # The same listen with other words about it was reported before, by this player or another one.
            if result.error is not None and result.error.field != "id":
                raise ContractViolationError(result.error)
        return [result.error is None and not result.duplicate for result in taken.results]

    async def _announce(self, submission: SubmittedListens, now: datetime) -> None:
        if self.announcer is None:
            raise ListenBrainzError(503, "This API tells nobody what plays: it has no outbox.", RETRY_S)
        (song_id,) = await self.songs.of(self.token.user_id, submission.listens)
        event = LiveEvent(
            id=uuid7(int(now.timestamp() * 1_000), secrets.randbits(74)),
            source=SOURCE,
            time=now,
            data=PlaybackStarted(user_id=self.token.user_id, song_id=song_id),
        )
        try:
            await self.announcer.publish(event)
        except (TransientError, AccessDeniedError) as error:
            raise ListenBrainzError(503, f"Nothing can be told now: {error}. Send it again.", RETRY_S) from None
