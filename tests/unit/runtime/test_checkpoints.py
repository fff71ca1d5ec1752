"""Partitions of owners that are gone are released, or it is said that they could not be."""

from collections.abc import Iterable
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.eventhub.aio import CheckpointStore

from songline.processors.runtime.checkpoints import Checkpoints


class _Store(CheckpointStore):
    """Claims as the SDK's store answers them: without those that are lost, and as they were where the service fails."""

    def __init__(self, owners: dict[str, str], lost: str = "", failing: str = "") -> None:
        self.owners, self._lost, self._failing = owners, lost, failing

    async def list_ownership(self, *names: str, **_: Any) -> Iterable[dict[str, Any]]:
        return [{"partition_id": one, "owner_id": owner, "etag": "old"} for one, owner in self.owners.items()]

    async def claim_ownership(self, ownership_list: Iterable[dict[str, Any]], **_: Any) -> Iterable[dict[str, Any]]:
        claims = [{**one} for one in ownership_list if one["partition_id"] != self._lost]
        for claim in claims:
            if claim["partition_id"] != self._failing:
                self.owners[claim["partition_id"]], claim["etag"] = claim["owner_id"], "new"
        return claims

    async def update_checkpoint(self, checkpoint: dict[str, Any], **_: Any) -> None:
        raise NotImplementedError

    async def list_checkpoints(self, *names: str, **_: Any) -> Iterable[dict[str, Any]]:
        raise NotImplementedError


def group(store: CheckpointStore) -> Checkpoints:
    return Checkpoints(store, "namespace", "hub", "group")


async def test_what_is_owned_by_others_or_claimed_meanwhile_stays() -> None:
    store = _Store({"0": "gone", "1": "living", "2": "gone"}, lost="2")
    assert await group(store).release({"gone"}) == 1
    assert store.owners == {"0": "", "1": "living", "2": "gone"}


async def test_a_claim_on_which_the_service_fails_is_no_release() -> None:
    store = _Store({"0": "gone", "1": "gone"}, failing="1")
    with pytest.raises(AzureError, match="partitions 1 could not be released"):
        await group(store).release({"gone"})
