"""Entra credentials: whoever runs the process, found the way Azure's own tools find them."""

from azure.identity.aio import DefaultAzureCredential


def entra() -> DefaultAzureCredential:
    """Managed identity, environment, or the developer's own `az login`, in that order of the library."""
    return DefaultAzureCredential()
