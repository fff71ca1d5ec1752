"""The token bucket behind 429, with the clock in hand."""

from hypothesis import given
from hypothesis import strategies as st

from localcloud.cosmos.throughput import Bucket


def test_what_is_owed_has_to_flow_in() -> None:
    bucket = Bucket(400, now_ms=0)
    bucket.level -= 500
    assert bucket.allowance.wait_ms() == 251
    bucket.fill(400, now_ms=250)
    assert bucket.allowance.wait_ms() == 1
    bucket.fill(400, now_ms=251)
    assert bucket.allowance.wait_ms() is None


def test_no_more_than_a_second_is_saved_up() -> None:
    bucket = Bucket(400, now_ms=0)
    bucket.fill(400, now_ms=60_000)
    assert bucket.level == 400
    bucket.fill(100, now_ms=60_000)
    assert bucket.level == 100


def test_a_clock_that_goes_back_brings_nothing() -> None:
    bucket = Bucket(400, now_ms=1_000)
    bucket.level = -10.0
    bucket.fill(400, now_ms=0)
    assert bucket.level == -10


@given(
    st.lists(st.tuples(st.integers(0, 300), st.floats(0, 900)), min_size=5, max_size=60),
    st.sampled_from([400.0, 1000.0]),
)
def test_nobody_spends_more_than_the_rate_allows(requests: list[tuple[int, float]], rate: float) -> None:
    """Over any run: at most what flowed in, one second's worth to begin with, and one request too much."""
    now, spent, bucket = 0, 0.0, Bucket(rate, now_ms=0)
    for pause, charge in requests:
        now += pause
        bucket.fill(rate, now)
        if bucket.allowance.wait_ms() is None:
            assert spent <= rate * (1 + now / 1000) + 1e-6
            bucket.level -= charge
            spent += charge
