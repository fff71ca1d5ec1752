"""Files that wait are begun with some that compute, and the longest early."""

from tests.support.file_order import BETWEEN, COMPUTING, in_order

UP = "tests/integration/songline/test_up.py"
AUDIT = "tests/integration/songline/test_audit.py"
CONTRACT = ["tests/contract/test_front.py"]
INTEGRATION = [f"tests/integration/catalog/test_{number}.py" for number in range(BETWEEN + 1)]
UNIT = [f"packages/localcloud/tests/unit/log/test_{number}.py" for number in range(20)]


def test_each_file_is_begun_once() -> None:
    files = [*CONTRACT, *INTEGRATION, AUDIT, UP, *UNIT]
    assert sorted(in_order(files)) == sorted(files)


def test_the_longest_are_spread_among_those_that_wait_and_unit_tests_among_both() -> None:
    order = in_order([*CONTRACT, *INTEGRATION, AUDIT, UP, *UNIT])
    assert [file for file in order if file not in UNIT] == [
        UP,
        *INTEGRATION[:BETWEEN],
        AUDIT,
        *INTEGRATION[BETWEEN:],
        *CONTRACT,
    ]
    assert order[: COMPUTING + 2] == [UP, INTEGRATION[0], *UNIT[:COMPUTING]]
    assert order[-1] == UNIT[-1]


def test_the_longest_are_begun_though_nothing_else_is_left() -> None:
    assert in_order([AUDIT, UP, UNIT[0]]) == [UP, AUDIT, UNIT[0]]
