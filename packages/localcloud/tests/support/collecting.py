"""What collecting tests makes stays for the whole run: the garbage collector has not to look at it."""

import gc
from collections.abc import Generator

import pytest

_NAME = "collected tests are no garbage"


def configure(config: pytest.Config) -> None:
    """Collect garbage neither while tests are collected nor, from then on, among what that made.

    Thousands of tests and all that they import are millions of objects, at which each full collection would look.
    """
    if not config.pluginmanager.has_plugin(_NAME):  # by the tests of another distribution, in the same run
        config.pluginmanager.register(_Collection(), _NAME)


class _Collection:
    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()
