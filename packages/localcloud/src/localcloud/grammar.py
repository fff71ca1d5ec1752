"""Parsers of the query languages. Their tables take up to a second to build: they are kept among the caches."""

from collections.abc import Sequence

from lark import Lark

from localcloud import user_cache


def parser(name: str, grammar: str, start: Sequence[str]) -> Lark:
    """The LALR parser of a grammar; the file kept under `name` is of no use for another one, and built again then."""
    caches = user_cache.folder()
    kept: str | bool
    try:
        caches.mkdir(parents=True, exist_ok=True)
        kept = str(caches / name)
    except OSError:
        kept = False
    return Lark(grammar, start=list(start), parser="lalr", lexer="contextual", maybe_placeholders=False, cache=kept)
