"""Where the key of trending's sets lies: a document of the container `attempts`, made by the first worker."""

import secrets
from collections.abc import Mapping

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError, CosmosResourceNotFoundError

from songline.processors.trending.cells.identity_key import KEY_BYTES, IdentityKey
from songline.schemas.channels import ATTEMPTS

DOCUMENT = "@trending-identities"


class IdentityKeyError(Exception):
    """The key's document is there and holds no key: what was saved under it can't be read."""


async def read_identity_key(container: ContainerProxy) -> IdentityKey:
    """The key of this account's sets, made where there is none. Raises AzureError and IdentityKeyError."""
    try:
        item = await container.read_item(DOCUMENT, DOCUMENT)
    except CosmosResourceNotFoundError:
        secret = secrets.token_hex(KEY_BYTES)
        try:
            await container.create_item({"id": DOCUMENT, "key": secret}, no_response=True)
        except CosmosResourceExistsError:
            # Another worker was first.
            return await read_identity_key(container)
        return IdentityKey(bytes.fromhex(secret))
    return stored_key(item)


def stored_key(item: Mapping[str, object]) -> IdentityKey:
    """The key in its document. Raises IdentityKeyError."""
    key = item.get("key")
    try:
        return IdentityKey(bytes.fromhex(key if isinstance(key, str) else ""))
    except ValueError:
        # The key itself is no text for a log.
        raise IdentityKeyError(
            f"document {DOCUMENT!r} of the container {ATTEMPTS!r} holds no key of {2 * KEY_BYTES} hexadecimal digits: "
            "restore it from a backup. Without one, delete it: a listener may then count twice in the hours that were "
            "saved under the lost key, and whoever uploaded a song before is not known as its owner until "
            "`songline rebuild charts`"
        ) from None
