"""How many exports there are at a time."""

import pytest

from songline.api.export_slots import ExportSlots
from songline.producers.http.problems import RequestDeclinedError


def refused(slots: ExportSlots, user: str) -> int:
    with pytest.raises(RequestDeclinedError) as raised, slots.occupied(user):
        raise AssertionError
    assert raised.value.retry_after
    return raised.value.status


def test_a_listener_has_one_and_all_have_some() -> None:
    slots = ExportSlots(2)
    with slots.occupied("ana"):
        assert refused(slots, "ana") == 429
        with slots.occupied("ben"):
            assert refused(slots, "cleo") == 503
            assert refused(slots, "ana") == 429
        with slots.occupied("cleo"):
            pass
    with slots.occupied("ana"):
        pass


def test_a_place_is_free_again_however_it_ends() -> None:
    slots = ExportSlots(1)
    with pytest.raises(KeyError), slots.occupied("ana"):
        raise KeyError
    with slots.occupied("ana"):
        pass
