"""The words around a title in Google Takeout, `Watched …`, which are in the language of the account. Pure."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct

ADDRESS = re.compile(r"https?://\S+")
MIN_TITLES, MIN_CHANNELS = 10, 5
"""So many titles, of so many channels, have in common only what is no title."""

_ENGLISH = ("Watched", "Viewed", "Listened to")
_BEGINS = (
    *(*_ENGLISH, "Vous avez regardé", "Has visto", "Visto:", "Visto", "Viste"),
    *("Ha visto", "Hai guardato", "Guardato", "Você assistiu a", "Assistiu a", "Viu", "Obejrzano:", "Obejrzano"),
    *("Просмотрено видео", "Просмотрено:", "Вы посмотрели видео", "Вы посмотрели", "Переглянуто:"),
    *("Har tittat på", "Tittade på", "Du har set", "Har set", "Du har sett", "Zhlédnuto:", "Katsottu:"),
    *("Menonton", "Đã xem", "已观看", "观看了", "已觀看", "觀看了", "시청함"),
)
_ENDS = (
    *("angesehen", "gezien", "bekeken", "を視聴しました", "을(를) 시청했습니다", "를 시청했습니다", "을 시청했습니다"),
    *("adlı videoyu izlediniz", "adlı videoyu izledi", "videosunu izlediniz", "izlendi"),  # noqa: RUF001
)
_SPACE = r"[ \xa0]+"
_GLUED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")
"""Signs of scripts that may stand beside a title without a space."""


def _words(known: Iterable[str], before: str, after: str) -> str:
    ways = (
        (before + re.escape(one) + after).replace(_SPACE, r"[ \xa0]*" if _GLUED.match(one) else _SPACE) for one in known
    )
    return "|".join(ways)


_PREFIX = re.compile(_words(_BEGINS, "", _SPACE))
_SUFFIX = re.compile(rf"(?:{_words(_ENDS, _SPACE, '')})\.?\Z")
_QUOTED = re.compile(r"«.+»|„.+[“”]|“.+”|「.+」|『.+』|\".+\"", re.DOTALL)


class TitleFrame(Struct, frozen=True):
    """What stands before and after each title of a history; both are empty where that is not known.

    `quoting` are the known words beside which every title of the sample stands in quotes. English puts none, and a
    title may have its own, as `"Heroes"` has.
    """

    before: str = ""
    after: str = ""
    quoting: frozenset[str] = frozenset()

    def title_in(self, text: str) -> str:
        """The title in `text`: within this frame, or within words that are known."""
        is_framed = len(text) > len(self.before) + len(self.after)
        if (self.before or self.after) and is_framed and text.startswith(self.before) and text.endswith(self.after):
            return text[len(self.before) : len(text) - len(self.after)]
        if (found := _parted(text)) is None:
            return text
        words, title = found
        return title.strip(" \xa0")[1:-1] if words in self.quoting and _is_quoted(title) else title


def title_frame(views: Iterable[tuple[Any, Any, Any]]) -> TitleFrame:
    """The frame of the titles in views, each with its text, address and channel. A video that has gone has its address
    in place of a title; otherwise the frame is what many texts have in common. English needs neither: its words are
    known, and whatever follows them is the title."""
    texts: set[str] = set()
    channels: set[str] = set()
    quoting: dict[str, bool] = {}
    exact: tuple[str, str] | None = None
    for text, address, channel in views:
        if not isinstance(text, str):
            continue
        if isinstance(address, str) and ADDRESS.fullmatch(address) and text.count(address) == 1:
            before, _, after = text.partition(address)
            exact = exact or (before, after)
        elif isinstance(channel, str):
            words, title = _parted(text) or ("", text)
            quoting[words] = quoting.get(words, words not in ("", *_ENGLISH)) and _is_quoted(title)
            if words not in _ENGLISH:
                texts.add(text)
                channels.add(channel)
    known = frozenset(words for words, always in quoting.items() if always)
    if exact is not None:
        return TitleFrame(*exact, known)
    if len(texts) < MIN_TITLES or len(channels) < MIN_CHANNELS:
        return TitleFrame(quoting=known)
    before = _common_begin(texts)
    after = _common_begin({text[len(before) :][::-1] for text in texts})[::-1]
    return TitleFrame(before, after, known)


def _parted(text: str) -> tuple[str, str] | None:
    """The known words around a title, and the rest; None where there are none."""
    if begin := _PREFIX.match(text):
        return begin[0].rstrip(" \xa0"), text[begin.end() :]
    if end := _SUFFIX.search(text):
        return end[0].strip(" \xa0."), text[: end.start()]
    return None


def _is_quoted(title: str) -> bool:
    return _QUOTED.fullmatch(title.strip(" \xa0")) is not None


def _common_begin(texts: Collection[str]) -> str:
    """With what all texts begin: the first and the last of them in order do."""
    first, last = min(texts), max(texts)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]
