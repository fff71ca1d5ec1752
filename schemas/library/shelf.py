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

ROOT = "root"
"""The id of the root of a shelf's tree: the node of all keys."""

USER_DIGITS = 6
"""Below so many digits, nodes are of listeners; deeper ones are of one listener's songs (or of a few listeners')."""

SONG_DIGITS = 6
EVENT_DIGITS = 12
KEY_DIGITS = USER_DIGITS + SONG_DIGITS + EVENT_DIGITS

_MASK = 0xFFFF_FFFF
_REMEMBERED = 1 << 16


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


@lru_cache(_REMEMBERED)
def key_hash(key: str) -> int:
    """The hash by which Event Hubs' SDKs choose a partition for a key: -32768 to 32767.

    It is Bob Jenkins' lookup3, `hashlittle2`, over code points, as in azure-eventhub's PartitionResolver.
    """
    if not key:
        return 0
    units = list(map(ord, key))
    length = len(units)
    a = b = c = 0xDEADBEEF + length & _MASK
    units += [0] * (-length % 12)
    at = 0
    while True:
        u0, u1, u2, u3, u4, u5, u6, u7, u8, u9, u10, u11 = units[at : at + 12]
        a = a + u0 + (u1 << 8) + (u2 << 16) + (u3 << 24) & _MASK
        b = b + u4 + (u5 << 8) + (u6 << 16) + (u7 << 24) & _MASK
        c = c + u8 + (u9 << 8) + (u10 << 16) + (u11 << 24) & _MASK
        at += 12
        if at >= length:
            break
        a = (a - c & _MASK) ^ (c << 4 & _MASK | c >> 28)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 6 & _MASK | a >> 26)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 8 & _MASK | b >> 24)
        b = b + a & _MASK
        a = (a - c & _MASK) ^ (c << 16 & _MASK | c >> 16)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 19 & _MASK | a >> 13)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 4 & _MASK | b >> 28)
        b = b + a & _MASK
    c = (c ^ b) - (b << 14 & _MASK | b >> 18) & _MASK
    a = (a ^ c) - (c << 11 & _MASK | c >> 21) & _MASK
    b = (b ^ a) - (a << 25 & _MASK | a >> 7) & _MASK
    c = (c ^ b) - (b << 16 & _MASK | b >> 16) & _MASK
    a = (a ^ c) - (c << 4 & _MASK | c >> 28) & _MASK
    b = (b ^ a) - (a << 14 & _MASK | a >> 18) & _MASK
    c = (c ^ b) - (b << 24 & _MASK | b >> 8) & _MASK
    low = (c ^ b) & 0xFFFF
    return low - (low >> 15 << 16)
