"""Where a listener's actions are: their shelf, and the way through its tree.

A shelf is a logical partition of the container `library-shelves`. Events of a listener are in one partition of the hub,
which one worker reads. A shelf has listeners of one partition only, by the hub's own hash, so one worker writes it.
Nothing relies on that: every write is conditional.

Actions have a key of hexadecimal digits. The first ones are from the hash of the listener, so that a listener's actions
are together; then from that of the song, and from that of the moment and the event's mark, so that any number of them
can be split. The id of a node in the shelf's tree is the beginning of the keys of its actions.
"""

from functools import lru_cache
from hashlib import blake2b

from songline.schemas.library.action import UserAction
from songline.schemas.partition_key import key_hash

ROOT = "root"
"""The id of the root of a shelf's tree: the node of all keys."""

USER_DIGITS = 6
"""Below so many digits, nodes are of listeners; deeper ones are of one listener's songs (or of a few listeners')."""

SONG_DIGITS = 6
EVENT_DIGITS = 12
KEY_DIGITS = USER_DIGITS + SONG_DIGITS + EVENT_DIGITS

_REMEMBERED = 1 << 13
"""So many listeners' digits are remembered: an entry takes some 180 bytes, and to make it a microsecond."""


def shelf_of(user_id: str, shelves: int) -> int:
    """The listener's shelf, of `shelves`, which is a multiple of the number of the hub's partitions."""
    return key_hash(user_id) % shelves


def shelf_key(version: int, shelf: int) -> str:
    """The partition key of a shelf of a version of the libraries."""
    return f"v{version}-{shelf}"


def child_of(node_id: str, digit: str) -> str:
    """The id of the node's child for a digit."""
    return digit if node_id == ROOT else node_id + digit


def depth_of(node_id: str) -> int:
    """How many digits the keys of the node's actions have in common."""
    return 0 if node_id == ROOT else len(node_id)


def path_of(user_id: str) -> list[str]:
    """The ids of the nodes that may have actions of the listener, the root first, those of songs left out.

    The nodes of songs have ids that begin with the last of these, see `is_on_path`.
    """
    digits = user_digits(user_id)
    return [ROOT, *(digits[:depth] for depth in range(1, USER_DIGITS + 1))]


def is_on_path(node_id: str, user_id: str) -> bool:
    """Whether a node may have actions of the listener."""
    digits = user_digits(user_id)
    return node_id == ROOT or digits.startswith(node_id) or node_id.startswith(digits)


def action_key(action: UserAction) -> str:
    """The key of an action: KEY_DIGITS hexadecimal digits."""
    event = _digits(f"{action.mark} {action.at_us}", EVENT_DIGITS)
    return user_digits(action.user_id) + _digits(action.song_id, SONG_DIGITS) + event


@lru_cache(_REMEMBERED)
def user_digits(user_id: str) -> str:
    """The listener's digits: the beginning of the keys of all their actions."""
    return _digits(user_id, USER_DIGITS)


def _digits(name: str, count: int) -> str:
    return blake2b(name.encode(errors="replace"), digest_size=8).hexdigest()[:count]
