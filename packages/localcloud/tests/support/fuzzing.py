"""How hard random tests try, and by which seed: one in `make test`, ever new ones in `make fuzz` (docs/testing.md)."""

import os
import random

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))
EXAMPLES = 40
"""Examples of a test that says no number."""
SEED = "1"
"""The seed of a run that names none: each takes the same examples, so that one that fails does by what was changed."""
_OPTION = "hypothesis_seed"
_NAME = "random tests"

by_seed = pytest.mark.hypothesis
"""Marks a test that draws from `seeded`: `make fuzz` runs it beside those of hypothesis."""


def effort(max_examples: int, *, steps: int = 50) -> settings:
    """So many examples, of so many steps in a state machine; `FUZZ_FACTOR` times as many examples under `make fuzz`."""
    return settings(max_examples=max_examples * FACTOR, stateful_step_count=steps, deadline=None)


def seeded(config: pytest.Config) -> random.Random:
    """Random numbers by the seed of the run, for a test that is none of hypothesis."""
    return random.Random(int(config.getoption(_OPTION)))


def configure(config: pytest.Config) -> None:
    """Choose the seed where none is given, and have a failure say how it is made again.

    hypothesis has a profile of its own where `CI` is set: here CI takes what is taken everywhere. No example has a
    deadline: a machine that is busy is no fault of the code.
    """
    if config.getoption(_OPTION) is None:
        setattr(config.option, _OPTION, os.environ.get("FUZZ_SEED") or SEED)
    settings.register_profile(
        "localcloud", settings.get_profile("default"), max_examples=EXAMPLES * FACTOR, print_blob=True, deadline=None
    )
    settings.load_profile("localcloud")
    if config.getoption(_OPTION) == SEED:
        _draw_no_constants()
    if not config.pluginmanager.has_plugin(_NAME):  # else by the tests of another distribution, in the same run
        config.pluginmanager.register(_Header(), _NAME)


def _draw_no_constants() -> None:
    """Have examples be those of the seed and the test alone.

    hypothesis also draws constants of the code that is imported at that moment, which change with each commit, and with
    the tests that a process has run before.
    """
    providers._get_local_constants = Constants


class _Header:
    """Says the seed when a run begins."""

    def pytest_report_header(self, config: pytest.Config) -> str:
        seed = config.getoption(_OPTION)
        return f"random tests: seed {seed}, the same again with --hypothesis-seed={seed} (or FUZZ_SEED)"
