"""Who is slow is waited for, who holds a place and sends next to nothing is not; every caller has a share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.producers.http.admission import NoSlotError, UploadSlots
from songline.producers.http.body_pacing import BodyPaceConfig, BodyPaceMeter

PACE = BodyPaceConfig(silence_s=30, least=2_000, deadline_s=7_200)


def sent(pace: BodyPaceConfig, *pieces: tuple[float, int]) -> float | None:
    """When the sender of pieces (seconds since the one before, bytes) is given up, None where it is not."""
    now = 0.0
    meter = BodyPaceMeter(pace, now)
    for pause, size in pieces:
        until = meter.wait(now)
        if now + pause > until:
            return until
        now += pause
        meter.record(size, now)
    return None


def test_a_byte_every_few_seconds_is_no_upload() -> None:
    given_up = sent(PACE, *[(4.0, 1)] * 1_000)
    assert given_up is not None
    assert 30 <= given_up < 31


def test_a_phone_is_waited_for() -> None:
    # 8 MB at 20 KB a second, in pieces as TCP has them, with tunnels on the way.
    assert sent(PACE, *[(0.07, 1_400)] * 5_800) is None
    assert sent(PACE, *([(0.07, 1_400)] * 500 + [(28.0, 1_400)]) * 3) is None


def test_who_is_as_fast_as_is_expected_is_never_given_up_before_the_deadline() -> None:
    assert sent(PACE, *[(1.0, 2_000)] * 7_000) is None
    assert sent(PACE, *[(1.0, 2_000)] * 8_000) == 7_200
    slow = sent(PACE, *[(1.0, 1_000)] * 1_000)
    assert slow is not None
    assert 50 < slow < 65


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**6)), max_size=200))
def test_nobody_is_given_up_before_the_silence_or_kept_beyond_what_was_sent(pieces: list[tuple[float, int]]) -> None:
    given_up = sent(PACE, *pieces)
    if given_up is not None:
        assert given_up >= 30
    elapsed, size = sum(pause for pause, _ in pieces), sum(size for _, size in pieces)
    if elapsed > 30 + size / 2_000 + 1:
        assert given_up is not None


def test_time_in_which_the_sender_is_not_waited_for_does_not_count() -> None:
    meter = BodyPaceMeter(PACE, 0)
    meter.wait(0)
    meter.record(1, 1)
    assert meter.wait(1_000) == pytest.approx(1_029, abs=0.1)


def test_each_caller_has_a_share_and_all_have_the_rest() -> None:
    slots = UploadSlots(total=4, each=2)
    meters = [BodyPaceMeter(PACE, 0) for _ in range(5)]
    with slots.occupied("a", meters[0], lambda: 1.0), slots.occupied("a", meters[1], lambda: 1.0):
        with pytest.raises(NoSlotError, match="2 uploads of a"), slots.occupied("a", meters[2], lambda: 1.0):
            pass
        with (
            slots.occupied("b", meters[2], lambda: 1.0),
            slots.occupied("c", meters[3], lambda: 1.0),
            pytest.raises(NoSlotError, match="4 uploads"),
            slots.occupied("d", meters[4], lambda: 1.0),
        ):
            pass
        with slots.occupied("d", meters[4], lambda: 1.0):
            pass


def test_who_stalls_loses_the_place_to_who_waits() -> None:
    slots = UploadSlots(total=2, each=2)
    quick, stalling, waiting = (BodyPaceMeter(PACE, 0) for _ in range(3))
    cut: list[str] = []
    with slots.occupied("a", quick, lambda: 0.0), slots.occupied("b", stalling, lambda: 0.0):
        quick.wait(15.5, lambda: cut.append("quick"))
        stalling.wait(0, lambda: cut.append("stalling"))
        with pytest.raises(NoSlotError), slots.occupied("c", waiting, lambda: 14.0):
            pass
        with slots.occupied("c", waiting, lambda: 16.0):
            assert (cut, stalling.displaced, quick.displaced) == (["stalling"], True, False)
            with pytest.raises(NoSlotError), slots.occupied("d", BodyPaceMeter(PACE, 16), lambda: 16.0):
                pass
    # All places are free again, the one that was taken away included.
    with slots.occupied("a", quick, lambda: 0.0), slots.occupied("b", waiting, lambda: 0.0):
        pass


def test_of_one_caller_the_own_place_goes_not_that_of_another() -> None:
    slots = UploadSlots(total=4, each=1)
    other, own = BodyPaceMeter(PACE, 0), BodyPaceMeter(PACE, 0)
    other.wait(0)
    own.wait(5)
    with (
        slots.occupied("b", other, lambda: 0.0),
        slots.occupied("a", own, lambda: 5.0),
        slots.occupied("a", BodyPaceMeter(PACE, 25), lambda: 25.0),
    ):
        assert (own.displaced, other.displaced) == (True, False)
