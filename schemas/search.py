"""Text as it is searched: writer and reader fold it alike, so that `sigur ros` finds `Sigur Rós`."""

import re
import unicodedata

MAX_WORDS = 60
MAX_WORD = 64

# Chinese characters and Japanese kana stand for themselves: these are written without spaces.
_ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")


def folded(text: str) -> str:
    """Without case, accents and superfluous space. Source: Unicode, section 3.13 (case folding) and annex 15 (NFKD)."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(sign for sign in parts if unicodedata.category(sign) != "Mn")
    return " ".join(unicodedata.normalize("NFC", bare.casefold()).split())


def words(*texts: str | None) -> tuple[str, ...]:
    """The different words of the texts in their order, each cut to MAX_WORD characters, MAX_WORDS at most."""
    found = dict.fromkeys(word[:MAX_WORD] for text in texts if text for word in _WORD.findall(folded(text)))
    return tuple(found)[:MAX_WORDS]
