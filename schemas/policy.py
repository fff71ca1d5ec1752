"""Chart policies: the rules of the charts as a value, and as a TOML file with a name and a version.

What no policy changes: of the actions of one kind by one listener on one song, the first of each UTC hour counts, and
the windows are those of the charts' names.
"""

import re
import tomllib
from math import exp2
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.listening import LISTEN, ListenRule
from songline.schemas.nearest import nearest
from songline.schemas.rules import broken_rule
from songline.schemas.types import DAY_MS, POLICY_NAME_PATTERN, Id

SCALE_BITS = 32
"""Weights and scores are whole multiples of 2^-32, so that a sum is the same in any order and on any machine."""

OWN_NAME = "songline"
"""The name of the policies that the product ships. Charts call them by their version alone, as they always did."""

MAX_POLICY_BYTES = 1_000_000
MAX_EXCLUDED = 5_000

_Weight = Annotated[int, Meta(ge=0, le=100)]
_Percent = Annotated[int, Meta(ge=1, le=1_000)]


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """What a listen and a like add to a song's trending score; an unlike takes away what a like adds."""

    listen: _Weight
    like: _Weight


class HalfLives(Struct, frozen=True, forbid_unknown_fields=True):
    """For each window, after how many percent of it an action weighs half as much."""

    five_minutes: _Percent = msgspec.field(name="5m")
    hour: _Percent = msgspec.field(name="1h")
    day: _Percent = msgspec.field(name="24h")
    week: _Percent = msgspec.field(name="7d")

    def of(self, window: str) -> int:
        """The percentage of a window, by the window's name."""
        return {"5m": self.five_minutes, "1h": self.hour, "24h": self.day, "7d": self.week}[window]


class ChartPolicy(Struct, frozen=True):
    """The rules of the charts. `excluded_listeners`: their plays and likes count in no chart and no song's day; their
    uploads still name songs."""

    name: str
    version: int
    listen: ListenRule
    weights: Weights
    half_life_percent: HalfLives
    excluded_listeners: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How charts name the policy: `v1`, or the name in front of the version where the product does not ship it."""
        version = f"v{self.version}"
        return version if self.name == OWN_NAME else f"{self.name}-{version}"

    def bucket_weights(self, window: str, buckets: int) -> tuple[int, ...]:
        """The weight of a bucket of a window by its age in buckets, 0 for the current one, as multiples of 2^-32."""
        half_life = buckets * self.half_life_percent.of(window) / 100
        return tuple(round(exp2(-age / half_life) * (1 << SCALE_BITS)) for age in range(buckets))


V1 = ChartPolicy(
    name=OWN_NAME,
    version=1,
    listen=LISTEN,
    weights=Weights(listen=1, like=4),
    half_life_percent=HalfLives(five_minutes=50, hour=50, day=50, week=50),
)
"""The policy of every chart that was made before charts had policies. `policies/v1.toml` says the same."""


class _ListenTable(Struct, forbid_unknown_fields=True):
    least_ms: Annotated[int, Meta(ge=0, le=DAY_MS)]
    share_percent: Annotated[int, Meta(ge=1, le=100)]


class _PolicyFile(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=POLICY_NAME_PATTERN)]
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    listen: _ListenTable
    weights: Weights
    half_life_percent: HalfLives
    excluded_listeners: Annotated[tuple[Id, ...], Meta(max_length=MAX_EXCLUDED)] = ()


def parse_policy(text: str) -> ChartPolicy:
    """The policy that a file's text says. Raises ContractViolationError: the field, its value, the rule."""
    if len(text.encode(errors="replace")) > MAX_POLICY_BYTES:
        raise _violation("", f"{len(text):,} characters", f"a file of at most {MAX_POLICY_BYTES:,} bytes")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # No TOMLDecodeError tells of a number of too many digits, which Python does not read.
        raise _violation("", excerpt(text, 40), f"TOML: {error}") from None
    try:
        file = msgspec.convert(found, _PolicyFile)
    except msgspec.ValidationError as error:
        broken = broken_rule(str(error))
        if unknown := _unknown(found, broken.field, str(error)):
            raise _violation(*unknown) from None
        raise _violation(broken.field, _written(_at(found, broken.field)), broken.rule) from None
    if len(set(file.excluded_listeners)) < len(file.excluded_listeners):
        twice = next(one for one in file.excluded_listeners if file.excluded_listeners.count(one) > 1)
        raise _violation("excluded_listeners", repr(twice), "each listener once")
    policy = ChartPolicy(
        name=file.name,
        version=file.version,
        listen=ListenRule(file.listen.least_ms, file.listen.share_percent),
        weights=file.weights,
        half_life_percent=file.half_life_percent,
        excluded_listeners=tuple(sorted(file.excluded_listeners)),
    )
    if policy.name == OWN_NAME and policy != V1:
        raise _violation(
            "name",
            f"{OWN_NAME!r}, version {policy.version}",
            f"another name: only Songline's own policies are named {OWN_NAME}",
        )
    return policy


def policy_text(policy: ChartPolicy) -> str:
    """The policy as a file's text, which `parse_policy` reads."""
    listeners = ", ".join(f'"{listener}"' for listener in policy.excluded_listeners)
    half_lives = policy.half_life_percent
    return f"""\
name = "{policy.name}"
version = {policy.version}
excluded_listeners = [{listeners}]

[listen]
least_ms = {policy.listen.least_ms}
share_percent = {policy.listen.share_percent}

[weights]
listen = {policy.weights.listen}
like = {policy.weights.like}

[half_life_percent]
5m = {half_lives.five_minutes}
1h = {half_lives.hour}
24h = {half_lives.day}
7d = {half_lives.week}
"""


def shipped_text() -> str:
    """The file of the policy that ships with the product, with its comments: what another one is made from."""
    return (Path(__file__).parent / "policies" / "v1.toml").read_text(encoding="utf-8")


def _violation(field: str, value: str, rule: str) -> ContractViolationError:
    return ContractViolationError(Violation(field or "the file", value, rule))


def _unknown(found: Any, place: str, message: str) -> tuple[str, str, str] | None:
    """Field, value and rule where `message` is about a field of the table at `place` that no policy has."""
    table = _at(found, place)
    kinds: dict[str, type[Struct]] = {
        "": _PolicyFile,
        "listen": _ListenTable,
        "weights": Weights,
        "half_life_percent": HalfLives,
    }
    if "unknown field" not in message or not isinstance(table, dict) or place not in kinds:
        return None
    known = msgspec.structs.fields(kinds[place])
    names = [field.encode_name for field in known]
    name = next(name for name in table if name not in names)
    return f"{place}.{name}".removeprefix("."), _written(table[name]), f"no such field: {nearest(name, names)}"


def _written(value: Any) -> str:
    """A value as a message has it."""
    try:
        return excerpt(repr(value))
    except ValueError:
        # In hexadecimal digits Python reads a number of any length, and writes none of more than some thousand.
        return "a number of too many digits"


def _at(found: Any, place: str) -> Any:
    """What is at a dotted path such as `excluded_listeners[0]`; None where it is missing."""
    for part in re.findall(r"[^.\[\]]+", place):
        if isinstance(found, list):
            found = found[int(part)]
        elif isinstance(found, dict):
            found = found.get(part)
    return found
