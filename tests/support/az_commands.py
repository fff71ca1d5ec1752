"""The commands of the Azure CLI that pages and remedies name, with the options that each has and needs.

From the source of azure-cli 2.91.0 (PyPI). The CLI itself is not among the packages that the project is built from.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple


class _Options(NamedTuple):
    """Needed are all of `needed`; `more` may be there. An option with several spellings has them with | between."""

    needed: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


_GROUP: Final = "-g|--resource-group"
_NAMED: Final = (_GROUP, "-n|--name")
_IN_NAMESPACE: Final = (*_NAMED, "--namespace-name")
_IN_ACCOUNT: Final = (_GROUP, "-a|--account-name")
_IN_DATABASE: Final = (*_IN_ACCOUNT, "-d|--database-name", "-n|--name")
_ANYWHERE: Final = ("--query", "-o|--output", "--subscription")
_OF_HUB: Final = (
    *("--partition-count", "--cleanup-policy", "--retention-time|--retention-time-in-hours"),
    *("--enable-capture", "--capture-interval", "--skip-empty-archives", "--destination-name", "--storage-account"),
    *("--blob-container", "--archive-name-format", "--mi-user-assigned"),
)
_OF_QUEUE: Final = (
    *("--enable-duplicate-detection", "--enable-dead-lettering-on-message-expiration", "--lock-duration"),
    *("--max-delivery-count", "--duplicate-detection-history-time-window", "--default-message-time-to-live"),
)
COMMANDS: Final[Mapping[str, _Options]] = {
    "login": _Options(),
    "account get-access-token": _Options(more=("--resource",)),
    "account set": _Options(("-s|--subscription",)),
    "ad signed-in-user show": _Options(),
    "containerapp logs show": _Options(_NAMED),
    "containerapp revision list": _Options(_NAMED, ("--all",)),
    "containerapp update": _Options(_NAMED, ("--image", "--min-replicas")),
    "cosmosdb list": _Options(more=(_GROUP,)),
    "cosmosdb sql container create": _Options((*_IN_DATABASE, "-p|--partition-key-path"), ("--ttl", "--idx")),
    "cosmosdb sql container delete": _Options(_IN_DATABASE),
    "cosmosdb sql container update": _Options(_IN_DATABASE, ("--ttl", "--idx")),
    "cosmosdb sql database create": _Options((*_IN_ACCOUNT, "-n|--name")),
    "cosmosdb sql role assignment create": _Options(
        (*_IN_ACCOUNT, "-d|--role-definition-id", "-p|--principal-id", "-s|--scope")
    ),
    "eventhubs eventhub consumer-group create": _Options((*_IN_NAMESPACE, "--eventhub-name")),
    "eventhubs eventhub consumer-group delete": _Options((*_IN_NAMESPACE, "--eventhub-name")),
    "eventhubs eventhub create": _Options(_IN_NAMESPACE, _OF_HUB),
    "eventhubs eventhub delete": _Options(_IN_NAMESPACE),
    "eventhubs eventhub update": _Options(_IN_NAMESPACE, _OF_HUB),
    "eventhubs namespace update": _Options(_NAMED, ("--sku", "--disable-local-auth")),
    "group show": _Options(("-n|--name|-g|--resource-group",)),
    "resource update": _Options((*_NAMED, "--resource-type", "--set")),
    "role assignment create": _Options(
        ("--role", "--scope", "--assignee|--assignee-object-id"), ("--assignee-principal-type",)
    ),
    "servicebus namespace update": _Options(_NAMED, ("--sku", "--disable-local-auth")),
    "servicebus queue create": _Options(_IN_NAMESPACE, _OF_QUEUE),
    "servicebus queue update": _Options(_IN_NAMESPACE, _OF_QUEUE),
    "storage account list": _Options(more=(_GROUP,)),
    "storage account update": _Options(_NAMED, ("--allow-shared-key-access",)),
    "storage blob download-batch": _Options(("-s|--source", "-d|--destination", "--account-name", "--auth-mode")),
    "storage container create": _Options(("-n|--name", "--account-name", "--auth-mode")),
}


def faults(text: str) -> list[str]:
    """What the Azure CLI would refuse of the commands in `text`: prose, a remedy, or a page with its examples.

    A command without any option is taken for a mention of it.
    """
    return [fault for command in _commands(text) for fault in _faults_of(command)]


def _commands(text: str) -> Iterator[str]:
    for found in re.finditer(r"(\$\()?\baz ([a-z][^`;|\n]*)", text.replace("\\\n", " ")):
        # What a shell takes of the line: no comment, and nothing behind the end of a substitution.
        command = re.split(r"\s#|, then\b|, and\b", found[2])[0]
        yield command.split("$(")[0] if found[1] is None else command.partition(")")[0]


def _faults_of(command: str) -> Iterator[str]:
    options = re.findall(r"(?<=\s)--?[a-z][a-z-]*", command)
    name = re.split(r"\s+(?=[^a-z\s])|\s*$", command)[0]
    known = COMMANDS.get(name)
    if known is None:
        if options or not any(one.startswith(f"{name} ") for one in COMMANDS):
            yield f"az {name}: no such command"
        return
    if not options:
        return
    spellings = {spelling for one in (*known.needed, *known.more, *_ANYWHERE) for spelling in one.split("|")}
    yield from (f"az {name}: has no {option}" for option in options if option not in spellings)
    yield from (f"az {name}: needs {one}" for one in known.needed if not set(one.split("|")) & set(options))
