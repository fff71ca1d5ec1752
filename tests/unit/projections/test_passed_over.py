"""What is passed over is said, and not a thousand times a second."""

import logging

import pytest

from songline.projections.passed_over import PassedOver


def test_the_first_is_said_at_once_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    passed_over = PassedOver(logging.getLogger("test"), every_s=10, steady=lambda: now)
    for _ in range(1_000):
        passed_over.report("hub 0:1", "no text")
    now = 110.0
    passed_over.report("hub 0:2", "no text")
    assert [record.getMessage() for record in caplog.records] == [
        "passed over: hub 0:1: no text",
        "passed over: hub 0:2: no text (and 999 before it)",
    ]
    assert passed_over.count == 1_001
