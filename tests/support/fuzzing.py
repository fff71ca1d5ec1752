"""How hard a random test tries: a little in `make test`, a lot in `make fuzz` (docs/testing.md)."""

import os

from hypothesis import settings

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))


def effort(max_examples: int, *, steps: int = 50) -> settings:
    """So many examples, of so many steps in a state machine; `FUZZ_FACTOR` times as many examples under `make fuzz`."""
    return settings(max_examples=max_examples * FACTOR, stateful_step_count=steps, deadline=None)
