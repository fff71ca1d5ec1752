"""What a listen is: the rule that charts and libraries share.

A rebuild under another one changes the past on purpose, so it is never edited in place.
"""

LISTEN_MS = 30_000


def is_listen(played_ms: int, duration_ms: int) -> bool:
    """Whether thirty seconds were heard, or half of a song that is shorter than a minute; never where nothing was.

    A song of 0 ms is one whose length its sender does not know: all that was heard of it is more than its half.
    """
    return played_ms >= LISTEN_MS or (played_ms > 0 and played_ms * 2 >= duration_ms)
