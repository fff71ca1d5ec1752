"""Text as it is searched: writer and reader fold it alike, so that `sigur ros` finds `Sigur Rós` and `REM` `R.E.M.`.

Sources: Unicode, section 3.13 (case folding), annex 15 (NFKD) and annex 44 (general categories).
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple, TypeAlias

FOLDING = 2
"""The version of these rules. Documents of others are folded again."""
MAX_WORDS = 60
MAX_WORD = 64

# Chinese characters and Japanese kana stand for themselves: these are written without spaces.
_ALONE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
# Marks that change no letter into another: accents, points of Hebrew and Arabic, and what chooses a sign's form. Those
# of Thai, Indian scripts and kana are letters, or make another letter.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)
# Letters of Latin script that have no decomposition, and signs that are typed in several ways.
_ALIKE = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032`\u00b4", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
)
_SOFT = frozenset(".,;:!?'\"()[]{}\u2026\u00ab\u00bb\u00bf\u00a1/\\|~\u3001\u3002")
"""Signs that say nothing at the edge of a word."""
_BETWEEN = frozenset("&+-/|,;:.~\u00b7\u2022")
"""Signs that stand between names, and count only where nothing else is asked for."""
_SHORT = 2


class Term(NamedTuple):
    """What a word must be: `word`, or (not `whole`) begin with it."""

    word: str
    whole: bool = False


Alternatives: TypeAlias = tuple[tuple[Term, ...], ...]
"""Of one of these, all terms must match."""


def folded(text: str) -> str:
    """Without case, accents, width and superfluous space."""
    parts = unicodedata.normalize("NFKD", text.translate(_ALIKE).casefold())
    bare = _ACCENTS.sub("", parts).casefold().translate(_ALIKE)
    return " ".join(unicodedata.normalize("NFC", bare).split())


def name_key(text: str) -> str:
    """What two spellings of a name have in common: `R.E.M.` and `REM`, `Jay-Z` and `JAY Z`, `Simon & Garfunkel` and
    `simon and garfunkel`. A name of signs, or of one letter among signs, keeps them: `!!!`, `-M-`."""
    line = folded(text)
    letters = "".join(sign for sign in line.replace(" & ", " and ") if _is_letter(sign))
    return letters if len(letters) > 1 or letters == line else line.replace(" ", "")


def words(*texts: str | None) -> tuple[str, ...]:
    """The different words by which the texts are found, each cut to MAX_WORD characters, MAX_WORDS at most: their words
    in their order, then what stands for several of these, or for signs."""
    chunks = [chunk for text in texts if text for chunk in [*folded(text).split(), ""]]
    found = dict.fromkeys(part for chunk in chunks for part in _parts(chunk))
    found |= dict.fromkeys(more for chunk in chunks for more in _more(chunk))
    found |= dict.fromkeys(_initials(chunks))
    return tuple(dict.fromkeys(word[:MAX_WORD] for word in found))[:MAX_WORDS]


def song_words(
    title: str, artist: str, artists: Iterable[str], album: str | None, genres: Iterable[str]
) -> tuple[str, ...]:
    """The words of a song, and its whole artists and genres in the form of `artist_word` and `genre_word`."""
    names = tuple(artists)
    whole = (*map(artist_word, (artist, *names)), *map(genre_word, genres))
    return tuple(dict.fromkeys((*words(title, artist, *names, album), *whole)))


def artist_word(name: str) -> str:
    """What the songs of an artist have among their words. No word has a space."""
    return f" artist:{name_key(name)[:MAX_WORD]}"


def genre_word(genre: str) -> str:
    """What the songs of a genre have among their words, where it is one of several."""
    return f" genre:{genre}"


def terms(text: str) -> tuple[Alternatives, ...]:
    """What `text` asks for: of each of these, one alternative must match the words of a song. Empty without any."""
    chunks = folded(text).split()
    named = [chunk for chunk in chunks if _parts(chunk) or chunk not in _BETWEEN]
    found: list[Alternatives] = []
    for chunk in named or chunks:
        if _ALONE.search(chunk):
            found += [((_term(part),),) for part in _parts(chunk)]
        else:
            found.append(_alternatives(chunk))
    return tuple(dict.fromkeys(found))


def matches(asked: tuple[Alternatives, ...], held: Collection[str]) -> bool:
    """Whether a song with the words `held` has what is asked for."""
    return all(any(all(_in(term, held) for term in choice) for choice in choices) for choices in asked)


def _in(term: Term, held: Collection[str]) -> bool:
    return term.word in held if term.whole else any(word.startswith(term.word) for word in held)


def _alternatives(chunk: str) -> Alternatives:
    parts = _parts(chunk)
    if not parts:
        return ((_term(_bare(chunk)),),)
    if _is_literal(chunk, parts):
        return ((_term(chunk),),)
    if len(parts) == 1:
        return ((_term(parts[0], whole=len(parts[0]) <= _SHORT and parts[0] != chunk),),)
    lengths = [len(part) for part in parts]
    joined = (_term("".join(parts), whole=max(lengths) == 1 and not _is_letter(chunk[-1])),)
    # The letters of an abbreviation begin half of all words.
    if min(lengths) > 1 or max(lengths) > _SHORT:
        return (joined, tuple(map(_term, parts)))
    return (joined,)


def _term(word: str, whole: bool = False) -> Term:
    return Term(word[:MAX_WORD], whole)


def _parts(chunk: str) -> list[str]:
    """The words in a text without spaces."""
    if chunk.isalnum() and not _ALONE.search(chunk):
        return [chunk]
    found: list[str] = []
    for is_word, run in groupby(chunk, _is_letter):
        if is_word:
            found += _runs("".join(run))
    return found


def _runs(word: str) -> Iterator[str]:
    for alone, run in groupby(word, lambda sign: _ALONE.match(sign) is not None):
        if alone:
            # A mark behind kana belongs to it.
            yield from run
        else:
            yield "".join(run)


def _more(chunk: str) -> Iterator[str]:
    """What a text without spaces is found by beside its words."""
    parts = _parts(chunk)
    if chunk and not parts:
        yield chunk
        yield _bare(chunk)
    elif len(parts) > 1 and not _ALONE.search(chunk):
        yield "".join(parts)
    elif parts and _is_literal(chunk, parts):
        yield chunk


def _initials(chunks: list[str]) -> Iterator[str]:
    """Single letters in a row, as one word: `r. e. m.`."""
    letters = [parts[0] if len(parts) == 1 and len(parts[0]) == 1 else "" for parts in map(_parts, chunks)]
    for single, run in groupby(letters, bool):
        word = "".join(run)
        if single and len(word) > 1 and not _ALONE.search(word):
            yield word


def _bare(signs: str) -> str:
    """Signs without those around them that say nothing; all of them where they are only such."""
    first, last = 0, len(signs)
    while first < last and signs[first] in _SOFT:
        first += 1
    while last > first and signs[last - 1] in _SOFT:
        last -= 1
    return signs[first:last] or signs


def _is_literal(chunk: str, parts: list[str]) -> bool:
    """Whether the signs of `chunk` are what it is known by: `-m-`, `c#`, `#1`."""
    if len(parts) != 1 or len(parts[0]) > _SHORT or parts[0] == chunk:
        return False
    return any(not _is_letter(sign) and sign not in _SOFT for sign in (chunk[0], chunk[-1]))


def _is_letter(sign: str) -> bool:
    return sign.isalnum() or unicodedata.category(sign)[0] == "M"
