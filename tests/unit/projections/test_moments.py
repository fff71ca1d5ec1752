"""A moment that a caller names, in UTC."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from projections.moments import in_utc

DAY = timedelta(days=1)
# Naive, as hypothesis draws them.
EARLIEST, LATEST = datetime.min + DAY, datetime.max - DAY  # noqa: DTZ901


@given(
    st.datetimes(),
    st.one_of(st.none(), st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))),
)
def test_a_moment_is_the_same_in_utc_or_has_no_form_there(moment: datetime, offset: timedelta | None) -> None:
    aware = moment if offset is None else moment.replace(tzinfo=timezone(offset))
    try:
        found = in_utc(aware)
    except ValueError:
        assert not EARLIEST < moment < LATEST
    else:
        assert found.tzinfo is UTC
        assert found - (aware if aware.tzinfo else aware.replace(tzinfo=UTC)) == timedelta()
