"""How tests are collected: which are long, and that what collecting makes is no garbage."""

import gc
from collections.abc import Generator

import pytest

LONG_S = 600
"""Seconds after which a long test fails. It waits for kills, leases and locks, one after the other: on a busy machine
that takes longer than the 300 s that other tests have."""
_NAME = "collected tests are no garbage"


def configure(config: pytest.Config) -> None:
    """Collect garbage neither while tests are collected nor, from then on, among what that made.

    Thousands of tests and all that they import are millions of objects, at which each full collection would look.
    """
    if not config.pluginmanager.has_plugin(_NAME):  # by the tests of another distribution, in the same run
        config.pluginmanager.register(_Collection(), _NAME)


def mark_long(item: pytest.Item) -> None:
    """Leave the test to `make test-all`, with a longer time unless it says one itself."""
    item.add_marker(pytest.mark.long)
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(LONG_S))


class _Collection:
    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()
