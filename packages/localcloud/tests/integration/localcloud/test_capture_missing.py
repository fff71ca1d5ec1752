"""Capture that can't run: one line says why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.capture import archive_blobs
from localcloud.capture.archive_blobs import CaptureExtraError, check_installed
from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.capture import declared, description


def test_a_declaration_that_breaks_a_rule_stops_the_start_with_a_line(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    config = declared(tmp_path / "Config.json", description(IntervalInSeconds=0))
    with pytest.raises(
        RuntimeError, match=r"hub events: CaptureDescription: IntervalInSeconds is 0; expected 1 to 900"
    ):
        start_localcloud(f"--config={config}")


def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setattr(archive_blobs, "find_spec", lambda module: None if module.startswith("azure") else object())
    with pytest.raises(CaptureExtraError, match=r"azure-storage-blob.*pip install 'localcloud-azure\[capture\]'"):
        check_installed()
