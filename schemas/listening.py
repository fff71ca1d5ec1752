"""What a listen is: the rule that charts and libraries share.

A rebuild under another one changes the past on purpose, so it is never edited in place.
"""

LISTEN_MS = 30_000


def is_listen(played_ms: int | None, duration_ms: int | None) -> bool:
    """Whether thirty seconds were heard, or half of a song that is shorter than a minute; never where nothing was.

    Where it is not known how long the song was heard (None), its sender says that it was a listen, as players do that
    scrobble. Where its length is not known (None), thirty seconds must have been heard: half of it can't be told. The
    first version of a play has no such None, and says 0 for it: all that was heard of 0 ms is more than the half.
    """
    if played_ms is None or played_ms >= LISTEN_MS:
        return True
    return duration_ms is not None and played_ms > 0 and played_ms * 2 >= duration_ms
