"""A data folder that a released version left behind, for tests that today's system goes on with it.

`tests/fixtures/data-64129bc.tar.xz` was made by the processes of commit 64129bc, see `make_data_64129bc.sh` beside it.
Its library, catalog and trending workers applied some 1,100 events of 24 listeners on 2026-11-28, the library worker
was killed, and 60 more events came that no worker applied.
"""

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from songline.processes import emulator_files
from tests.support.localcloud import LocalCloud

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "data-64129bc.tar.xz"

MADE_AT = datetime(2026, 11, 28, 12, 20, 25, tzinfo=UTC)
"""When its last event came in."""

APPLIED = {"0": 65, "1": 356, "2": 93, "3": 573}
"""The last position that the library worker applied, by partition of `music-events`; the catalog's and trending's are
the same."""

ENDS = {"0": 69, "1": 381, "2": 94, "3": 604}
"""The last position of each partition."""

_RETENTION = {"UserConfig": {"NamespaceConfig": [{"Entities": [
    {"Name": "music-events", "Properties": {"RetentionInHours": 1_000_000}},
]}]}}  # fmt: skip


def former_cloud(folder: Path) -> LocalCloud:
    """A localcloud of today, not started yet, on the former version's data, which is unpacked into `folder`.

    Its events are kept for good, so that tests see them however much later they run.
    """
    data = folder / "data"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(data, filter="data")
    retention = folder / "retention.json"
    retention.write_text(json.dumps(_RETENTION))
    configs = [f"--config={file}" for file in (*emulator_files.files("eventhubs"), retention)]
    return LocalCloud(data, ["--blobs", *configs])
