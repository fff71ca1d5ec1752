"""How hard random tests try, and by which seed: a little in `make test`, a lot in `make fuzz` (docs/testing.md)."""

import os
import secrets

import pytest
from hypothesis import settings

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))
EXAMPLES = 40
"""Examples of a test that says no number. Each run takes new ones, so that a few a run are many in a week."""
SEED = "hypothesis_seed"
_NAME = "random tests"


def effort(max_examples: int, *, steps: int = 50) -> settings:
    """So many examples, of so many steps in a state machine; `FUZZ_FACTOR` times as many examples under `make fuzz`."""
    return settings(max_examples=max_examples * FACTOR, stateful_step_count=steps, deadline=None)


def configure(config: pytest.Config) -> None:
    """Choose a seed where none is given, and have a failure say how it is made again.

    hypothesis has a profile of its own where `CI` is set, which takes the same examples each time: here CI takes new
    ones, as everywhere else. No example has a deadline: a machine that is busy is no fault of the code.
    """
    examples = EXAMPLES * FACTOR
    settings.register_profile(
        "localcloud", settings.get_profile("default"), max_examples=examples, print_blob=True, deadline=None
    )
    settings.load_profile("localcloud")
    if config.pluginmanager.has_plugin(_NAME):  # by the tests of another distribution, in the same run
        return
    if config.getoption(SEED) is None:
        setattr(config.option, SEED, os.environ.get("FUZZ_SEED") or str(secrets.randbits(32)))
    config.pluginmanager.register(_Header(), _NAME)


class _Header:
    """Says the seed when a run begins."""

    def pytest_report_header(self, config: pytest.Config) -> str:
        seed = config.getoption(SEED)
        return f"random tests: seed {seed}, the same again with --hypothesis-seed={seed} (or FUZZ_SEED)"
