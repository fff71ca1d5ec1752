"""Entra credentials: whoever runs the process, found the way Azure's own tools find them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential


def entra() -> "DefaultAzureCredential":
    """Managed identity, environment, or the developer's own `az login`, in that order of the library."""
    # A tenth of a process's start, and not needed where connection strings have keys.
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()
