import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a test's broken connections left behind is collected with it, and not with some other test."""
    yield
    gc.collect()
