"""Moments: what is finer than a microsecond is cut off, by every reader."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas import commands, envelope, examples, live
from songline.schemas.commands import RemoveSong
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongPlayed
from songline.schemas.live import LiveEvent, PlaybackStarted
from songline.schemas.moments import may_be_rounded, read_moment

LAST = datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
STARTED = LiveEvent(id="e", source="/s", time=LAST, data=PlaybackStarted(user_id="ana", song_id="s"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T23:59:59.9999995Z", LAST),
        ("2026-11-22T23:59:59.9999999Z", LAST),
        ("2026-11-22T23:59:59.999999Z", LAST),
        ("2026-11-22t23:59:59." + "9" * 5_000 + "z", LAST),
        ("2026-11-23T05:29:59.9999995+05:30", LAST),
        ("2026-11-23T05:29:59.9999995+0530", LAST),
        ("9999-12-31T23:59:59.9999999Z", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00.0000001Z", datetime.min.replace(tzinfo=UTC)),
        ("2026-11-22T23:59:59Z", LAST.replace(microsecond=0)),
    ],
)
def test_a_moment_is_cut_to_microseconds(text: str, moment: datetime) -> None:
    assert read_moment(text) == moment
    assert read_moment(text).tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 10**12))
def test_more_digits_never_change_the_moment(moment: datetime, more: int) -> None:
    text = moment.isoformat(timespec="microseconds").removesuffix("+00:00")
    assert read_moment(f"{text}{more}Z") == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-11-22T14:00:00", "2026-02-30T00:00:00Z", "2026-11-22T14:00:00\\u005a", '"', "2026-11-22",
     "2026-11-22T14:00:00.Z", "2026-11-22T24:00:00Z", "2026-11-22T14:00:00Z\n", "\udc80", "20261122T140000Z",
     "2026-11-22T14:00:00,1234567Z", "2026-11-22T14:00:00.1234567"],
)  # fmt: skip
def test_what_is_no_moment_is_poison(text: str) -> None:
    with pytest.raises(PoisonError) as caught:
        read_moment(text)
    assert caught.value.reason == "not-an-event"


def event(time: str) -> datetime:
    return envelope.decode(json.dumps({**json.loads(envelope.encode(examples.EVENTS[SongPlayed])), "time": time})).time


def command(time: str) -> datetime:
    body = commands.encode(examples.COMMANDS[RemoveSong])
    return commands.decode(json.dumps({**json.loads(body), "time": time})).time


def playing(time: str) -> datetime:
    return live.decode(json.dumps({**json.loads(live.encode(STARTED)), "time": time})).time


@pytest.mark.parametrize("read", [event, command, playing])
def test_every_reader_has_the_rule(read: Callable[[str], datetime]) -> None:
    assert read("2026-11-22T23:59:59.9999995Z") == LAST
    assert read("2026-11-23T00:59:59.9999999+01:00") == LAST
    assert read("9999-12-31T23:59:59.9999999Z").year == 9999
    for bad in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "now"):
        with pytest.raises(PoisonError):
            read(bad)


def test_only_a_whole_minute_can_have_been_rounded_into_another_one() -> None:
    whole, other = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, 5, tzinfo=UTC)
    assert may_be_rounded(whole, b'{"time":"2026-11-22T23:59:59.9999995Z"}')
    assert may_be_rounded(whole, b'{"time":"2026-11-22T23:59:59\\u002e9999995Z"}')
    assert not may_be_rounded(whole, b'{"time":"2026-11-23T00:00:00.000000Z"}')
    assert not may_be_rounded(other, b'{"time":"2026-11-22T23:59:59.0000051Z"}')
