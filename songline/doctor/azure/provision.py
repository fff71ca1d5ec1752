"""The command that deploys what `infra/azure` declares."""

PROVISION = "azd provision --no-state"
"""azd does nothing where the files are those of the last time, whatever has become of the resources; so it does."""
