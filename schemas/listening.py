"""What a listen is: the rule that libraries have, and that charts have unless their policy has another one.

A rebuild under another one changes the past on purpose, so it is never edited in place.
"""

from msgspec import Struct

LISTEN_MS = 30_000


class ListenRule(Struct, frozen=True):
    """A play is a listen where it was heard for `least_ms`, or for `share_percent` of the song; never where nothing
    was heard of it, unless `least_ms` is 0."""

    least_ms: int
    share_percent: int

    def is_listen(self, played_ms: int | None, duration_ms: int | None) -> bool:
        """Whether a play of `played_ms` of a song of `duration_ms` is a listen.

        Where it is not known how long the song was heard (None), its sender says that it was a listen, as players do
        that scrobble. Where its length is not known (None), `least_ms` must have been heard: a share of it can't be
        told. The first version of a play has no such None, and says 0 for it: all that was heard of 0 ms is more than
        any share.
        """
        if played_ms is None or played_ms >= self.least_ms:
            return True
        return duration_ms is not None and played_ms > 0 and played_ms * 100 >= duration_ms * self.share_percent


LISTEN = ListenRule(least_ms=LISTEN_MS, share_percent=50)
"""Thirty seconds, or half of a song that is shorter than a minute."""

is_listen = LISTEN.is_listen
