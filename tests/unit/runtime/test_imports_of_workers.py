"""A worker imports no SDK that it does not use: whoever waits for one that was killed waits for that as well."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("worker", "unused"),
    [
        # Checkpoints bring an SDK of Blob Storage of their own.
        ("library", {"aiokafka", "azure.servicebus", "azure.storage.blob", "httpx", "numpy"}),
        ("catalog", {"azure.servicebus", "azure.storage.blob", "httpx", "numpy"}),
        ("ingestion", {"httpx", "numpy"}),
        ("trending", {"azure.servicebus", "httpx"}),
    ],
)
def test_no_sdk_is_imported_that_a_worker_does_not_use(worker: str, unused: set[str]) -> None:
    code = f"import sys, songline.processors.{worker}.process as process; print(process.main.__name__, *sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    main, *loaded = told.stdout.split()
    assert main == "main"
    assert not unused & set(loaded)
