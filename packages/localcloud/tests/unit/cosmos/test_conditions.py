"""Conditions of patches: those that differ in whole numbers only are compiled once, and each is judged by its own."""

import pytest

from localcloud.cosmos import item_handlers
from localcloud.cosmos.errors import BadRequestError, PreconditionFailedError
from localcloud.cosmos.item_handlers import parse_patch
from localcloud.cosmos.query.program import compile_query

STEPS = [{"op": "set", "path": "/done", "value": True}]


def holds(condition: str, document: dict[str, object], now_ms: int = 0) -> bool:
    patch = parse_patch(now_ms)({"operations": STEPS, "condition": f"from c where {condition}"})
    try:
        patch.apply(document)
    except PreconditionFailedError:
        return False
    return True


def test_conditions_that_differ_in_numbers_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def counted(*given: object) -> object:
        compiled.append(given)
        return compile_query(*given)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(item_handlers, "compile_query", counted)
    found = [
        holds(f"c.once <= {number} and c.other in (1, {number + 1})", {"once": 3, "other": 4}) for number in range(6)
    ]
    assert found == [False, False, False, True, False, False]
    assert len(compiled) == 1


def test_a_condition_may_ask_for_the_time() -> None:
    condition = "GetCurrentTimestamp() > c.until"
    assert [holds(condition, {"until": 5}, now_ms) for now_ms in (4, 6, 4, 6)] == [False, True, False, True]


def test_a_number_may_stand_where_no_row_has_one() -> None:
    condition = "exists(select top {} value n from n in c.numbers where n = 4)"
    assert [holds(condition.format(top), {"numbers": [3, 4]}) for top in (0, 1)] == [False, True]


def test_a_parameter_that_nobody_gives_is_refused() -> None:
    with pytest.raises(BadRequestError, match="@number0"):
        holds("c.n = @number0", {"n": 1})
