"""Entra credentials: the identity that runs the process, found the way Azure's own tools find it."""

from typing import TYPE_CHECKING

from songline.cloud.extras import missing_extra

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential


def entra() -> "DefaultAzureCredential":
    """Managed identity, environment, or the developer's own `az login`, in that order of the library.

    Raises MissingExtraError without the extra `entra`.
    """
    # A tenth of a process's start, and not needed where connection strings have keys.
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ModuleNotFoundError as error:
        raise missing_extra("a service without a key", error.name or "azure.identity", "entra") from None

    return DefaultAzureCredential()
