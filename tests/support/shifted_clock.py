"""`python -m tests.support.shifted_clock`: the ingestion worker where the clock is `CLOCK_AHEAD_S` seconds ahead.

The clock is shifted for the product and for the SDK of Service Bus, which judges locks by it.
"""

import os
from datetime import UTC, datetime, timedelta

from azure.servicebus._common import message

from songline.processors.ingestion.config import IngestionConfig
from songline.processors.ingestion.process import IngestionSettings, work
from songline.processors.ingestion.reconciler import ReconcilerConfig
from songline.processors.runtime.process import run_worker


def main() -> None:
    """Run until SIGTERM."""
    environ = os.environ
    ahead = timedelta(seconds=float(environ["CLOCK_AHEAD_S"]))

    def now() -> datetime:
        return datetime.now(UTC) + ahead

    message.utc_now = now  # type: ignore[attr-defined]
    run_worker(
        "ingestion",
        lambda stop: work(
            IngestionSettings.read(environ), IngestionConfig.read(environ), ReconcilerConfig(), stop, now
        ),
    )


if __name__ == "__main__":
    main()
