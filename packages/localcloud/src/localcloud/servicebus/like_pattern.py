"""SQL's LIKE, in time proportional to the text's length times the pattern's."""

from functools import lru_cache
from typing import Final

# Wildcards stand apart from every literal character by their length.
ANY: Final = "any one"
MANY: Final = "any many"


@lru_cache(maxsize=1024)
def tokens(pattern: str, escape: str) -> tuple[str, ...]:
    """The pattern as single characters, ANY (_) and MANY (%); what follows `escape` stands for itself."""
    made: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            made.append(next(characters, escape))
        elif character == "%":
            if not made or made[-1] != MANY:
                made.append(MANY)
        else:
            made.append(ANY if character == "_" else character)
    return tuple(made)


def like(text: str, pattern: str, escape: str = "") -> bool:
    """Whether all of `text` matches. `%` is any characters or none, `_` any one."""
    wanted = tokens(pattern, escape)
    at = token = 0
    # Where to try again: behind the last % that was met, one character of text further each time.
    retry_token, retry_at = -1, 0
    while at < len(text):
        if token < len(wanted) and wanted[token] == MANY:
            retry_token, retry_at = token + 1, at
            token += 1
        elif token < len(wanted) and wanted[token] in (ANY, text[at]):
            token += 1
            at += 1
        elif retry_token >= 0:
            retry_at += 1
            token, at = retry_token, retry_at
        else:
            return False
    return all(rest == MANY for rest in wanted[token:])
