"""How many documents may be written goes by the time that has passed, and never by more than a second of it."""

from songline.processors.trending.merge.write_rate import WriteRate


def test_documents_are_allowed_by_the_time_that_has_passed() -> None:
    now = [100.0]
    rate = WriteRate(30, lambda: now[0])
    found = []
    for passed_s in (0, 0.5, 0.25, 10, 0.001):
        now[0] += passed_s
        found.append(rate())
    assert found == [30, 15, 8, 30, 1]
