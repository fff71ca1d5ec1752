"""Where the key of trending's sets lies: a document of the container `attempts`, made by the first worker."""

import secrets

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError, CosmosResourceNotFoundError

from songline.processors.trending.cells.identity_key import KEY_BYTES, IdentityKey

DOCUMENT = "@trending-identities"


async def read_identity_key(container: ContainerProxy) -> IdentityKey:
    """The key of this account's sets, made where there is none. Raises AzureError."""
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
    return IdentityKey(bytes.fromhex(str(item["key"])))
