"""A moment that a caller names, in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.moments import read_asked_moment as read
from songline.schemas.rules import MOMENT_RULE

DAY = timedelta(days=1)
# Naive, as hypothesis draws them.
EARLIEST, LATEST = datetime.min + DAY, datetime.max - DAY  # noqa: DTZ901


@given(
    st.datetimes(),
    st.one_of(
        st.none(),
        st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timedelta(minutes=minutes)),
    ),
)
def test_a_moment_is_the_same_in_utc_or_has_no_form_there(moment: datetime, offset: timedelta | None) -> None:
    aware = moment if offset is None else moment.replace(tzinfo=timezone(offset))
    try:
        found = read(aware.isoformat())
    except ValueError:
        assert not EARLIEST < moment < LATEST
    else:
        assert found.tzinfo is UTC
        assert found - (aware if aware.tzinfo else aware.replace(tzinfo=UTC)) == timedelta()


@pytest.mark.parametrize("text", ["T14:00", "T14:00Z", " 14:00", "t14:00z", "T16:30+02:30", "T13:59-00:01"])
def test_seconds_may_be_left_out(text: str) -> None:
    assert read(f"2026-11-22{text}") == datetime(2026, 11, 22, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1763820000",
        "1763820000.5",
        "-1",
        "2026-11-22",
        "2026-11-22T14",
        "2026-11-22T14:00:00:00Z",
        "2026-11-22T14:60",
        "2026-11-22T14:00:00,5Z",
        "2026-11-22T14:00:00,5",
        "20261122T140000Z",
        "2026-11-22T14:00:00 01:00",
        "2026-11-22T14:00:00Z ",
        "2026-11-22T14:00:00\n",
        "2026-W47-7T14:00:00Z",
        "2026-02-30T14:00:00Z",
        "\u0662026-11-22T14:00:00Z",
        "",
    ],
)
def test_what_is_no_moment_of_rfc_3339_is_refused_in_our_words(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339") as refused:
        read(text)
    assert str(refused.value) == MOMENT_RULE
