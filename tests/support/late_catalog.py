"""The catalog worker where the clock is a minute ahead of the hub's: all that it reads is far behind."""

import os
from datetime import UTC, datetime, timedelta

from songline.processors.catalog.process import work
from songline.processors.runtime.process import run_worker


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


if __name__ == "__main__":
    run_worker("catalog", lambda stop: work(os.environ, stop, _now))
