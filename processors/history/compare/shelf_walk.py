"""All listeners of a version of the libraries with their actions, in the order of their keys and in bounded memory.

A shelf's tree is walked by its keys: what is held at a time is one path, and the actions of the listeners below its
last node. Actions are found twice where a push comes between two reads, which does no harm to a set.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import groupby

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.schemas.decoding import convert
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT, USER_DIGITS, child_of, depth_of, shelf_key, user_digits

ListenerActions = tuple[tuple[str, str], list[UserAction]]
"""A listener's digits and id, and their actions."""

_TRIES = 20
_PAUSE_S = 0.1


class UnsettledShelfError(Exception):
    """A node did not come with what its parent had pushed to it. Compare again."""


async def listeners(container: ContainerProxy, version: int, shelves: int) -> AsyncIterator[ListenerActions]:
    """The listeners of all shelves, by digits and id. Raises UnsettledShelfError, PoisonError and AzureError."""
    walks = [_walk(container, shelf_key(version, shelf), ROOT, 0, []) for shelf in range(shelves)]
    heads = [(found, walk) for walk in walks if (found := await anext(walk, None)) is not None]
    while heads:
        place = min(range(len(heads)), key=lambda one: heads[one][0][0])
        found, walk = heads[place]
        yield found
        following = await anext(walk, None)
        if following is None:
            del heads[place]
        else:
            heads[place] = following, walk


async def _walk(
    container: ContainerProxy, shelf: str, node_id: str, received: int, above: list[UserAction]
) -> AsyncIterator[ListenerActions]:
    """The listeners of a node that has received the flush `received`; `above` are their actions in nodes above it."""
    node = await _read(container, shelf, node_id, received)
    actions = above + ([] if node is None else _actions(node))
    pushed = {} if node is None else node.pushed
    depth = depth_of(node_id)
    if pushed and depth < USER_DIGITS:
        by_digit: dict[str, list[UserAction]] = {}
        for action in actions:
            by_digit.setdefault(user_digits(action.user_id)[depth], []).append(action)
        for digit in sorted(by_digit.keys() | pushed.keys()):
            if digit in pushed:
                below = _walk(container, shelf, child_of(node_id, digit), pushed[digit], by_digit.get(digit, []))
                async for found in below:
                    yield found
            else:
                for found in _grouped(by_digit[digit]):
                    yield found
        return
    if pushed:
        # Nodes of one listener's songs, or of very few listeners'.
        for below_node in await _subtree(container, shelf, node_id, pushed):
            actions += _actions(below_node)
    for found in _grouped(actions):
        yield found


async def _read(container: ContainerProxy, shelf: str, node_id: str, received: int) -> TreeDocument | None:
    for _ in range(_TRIES):
        try:
            item = dict(await container.read_item(node_id, shelf))
        except CosmosResourceNotFoundError:
            if node_id == ROOT:
                return None
        else:
            if node_id == ROOT:
                return convert(item, RootDocument)
            node = convert(item, NodeDocument)
            if node.received >= received:
                return node
        await asyncio.sleep(_PAUSE_S)
    raise UnsettledShelfError(f"node {node_id!r} of shelf {shelf!r} has not received what was pushed to it")


async def _subtree(container: ContainerProxy, shelf: str, node_id: str, pushed: dict[str, int]) -> list[NodeDocument]:
    """The nodes below a node."""
    query = "SELECT * FROM c WHERE STARTSWITH(c.id, @id) AND c.id != @id"
    parameters: list[dict[str, object]] = [{"name": "@id", "value": node_id}]
    for _ in range(_TRIES):
        items = container.query_items(query, parameters=parameters, partition_key=shelf)
        nodes = {item["id"]: convert(dict(item), NodeDocument) async for item in items}
        wanted = {child_of(node_id, digit): flush for digit, flush in pushed.items()}
        for node in nodes.values():
            wanted |= {child_of(node.id, digit): flush for digit, flush in node.pushed.items()}
        if all(one in nodes and nodes[one].received >= flush for one, flush in wanted.items()):
            return list(nodes.values())
        await asyncio.sleep(_PAUSE_S)
    raise UnsettledShelfError(f"nodes below {node_id!r} of shelf {shelf!r} have not received what was pushed to them")


def _actions(node: TreeDocument) -> list[UserAction]:
    return [action for run in node.runs for action in decode_run(run)]


def _grouped(actions: Iterable[UserAction]) -> Iterator[ListenerActions]:
    def key(action: UserAction) -> tuple[str, str]:
        return user_digits(action.user_id), action.user_id

    for listener, rows in groupby(sorted(actions, key=key), key=key):
        yield listener, list(rows)
