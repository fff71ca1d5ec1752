"""The charts as of a moment by the rules of a version of the charts, over the services that the environment names.

Only a question about charts imports this module: numpy, and the code of the trending worker, take a third of a second.
"""

import os
from collections.abc import Mapping

from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs, read_cosmos
from songline.processors.history.archive.readable import ReadableHistory
from songline.processors.history.as_of.answers import PastCharts
from songline.processors.history.as_of.charts import charts_as_of
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.history.erasure.names_to_come import NamesToCome
from songline.processors.trending.cells.identity_key import KEY_BYTES, IdentityKey
from songline.processors.trending.version_policy import read_policy
from songline.schemas.channels import ARCHIVE_INDEX_BLOBS, DATABASE, PROJECTIONS
from songline.schemas.policy import ChartPolicy


async def version_charts_as_of(
    environ: Mapping[str, str], history: ReadableHistory, second: int, version: int, names: NamesToCome
) -> PastCharts:
    """The charts of all that the hub had taken by the Unix second `second`, by the policy of `version`. `names` are
    those of the history.

    Raises SettingError, DamagedVersionError, and what `charts_as_of` raises.
    """
    policy = await _policy(environ, version)
    async with blobs.client(read_blobs(environ)) as account:
        store = SongEventStore(account.get_container_client(ARCHIVE_INDEX_BLOBS), names)
        # Nothing of it is saved, so any key will do.
        return await charts_as_of(history, store, second, policy, IdentityKey(os.urandom(KEY_BYTES)))


async def _policy(environ: Mapping[str, str], version: int) -> ChartPolicy:
    """The policy of a version of the charts."""
    async with cosmos.client(read_cosmos(environ)) as account:
        return await read_policy(cosmos.container(account, DATABASE, PROJECTIONS), version)
