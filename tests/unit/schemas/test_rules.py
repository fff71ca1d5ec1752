"""No rule of any contract is told in a library's words."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct, inspect

from songline.schemas.commands import COMMANDS
from songline.schemas.decoding import convert
from songline.schemas.envelope import ReceivedEnvelope
from songline.schemas.errors import PoisonError
from songline.schemas.events import EVENTS
from songline.schemas.ingestions import Ingestion
from songline.schemas.library.listener_documents import EntryDocument, SummaryDocument
from songline.schemas.live import LiveEvent
from songline.schemas.plays import SongDay
from songline.schemas.progress import WatermarkDocument
from songline.schemas.rules import broken_rule
from songline.schemas.songs import SongDocument

OF_DATA = [payload for _, payload in EVENTS.values()] + [order for _, order in COMMANDS.values()]
KINDS: list[type[Struct]] = [
    ReceivedEnvelope, LiveEvent, Ingestion, EntryDocument, SummaryDocument, SongDay, WatermarkDocument, SongDocument,
    *OF_DATA,
]  # fmt: skip
WRONG: list[Any] = [
    None, True, 7, -1, 2**53, 2**70, 1.5, float("1e300"), "", "x", "x\n", "é", "x" * 5_000, "..", "\0", [], ["x"] * 100,
    {}, {"x": 1}, {"x": None}, [[]],
]  # fmt: skip
LIBRARY_WORDS = ("`", "regex", "RFC3339", "got ", "$", "Object ", "str", "Invalid")


def fields(kind: type[Struct]) -> Iterator[tuple[str, bool]]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        yield field.encode_name, field.required


def sentences(kind: type[Struct]) -> Iterator[str]:
    """What msgspec says to every wrong value of every field, and to every one that is missing."""
    for name, required in fields(kind):
        for wrong in WRONG:
            try:
                msgspec.convert(dict.fromkeys([name], wrong), kind)
            except msgspec.ValidationError as error:
                yield str(error)
            try:
                msgspec.json.decode(msgspec.json.encode({name: wrong}), type=kind)
            except (msgspec.MsgspecError, OverflowError) as error:
                yield str(error)
        if required:
            yield f"Object missing required field `{name}` - at `$.data`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_rule_is_told_in_plain_words(kind: type[Struct]) -> None:
    told = {str(broken_rule(sentence)) for sentence in sentences(kind)}
    assert len(told) > 3
    strange = {sentence for sentence in told if any(word in sentence for word in LIBRARY_WORDS)}
    assert not strange


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Expected `int`, got `str` - at `$.playedMs`", "playedMs: expected a whole number, saw text"),
        ("Expected `str | null`, got `array`", "expected text or null, saw a list"),
        ("Expected `int` >= 0 - at `$.data.playedMs`", "data.playedMs: expected a whole number, at least 0"),
        ("Expected `float` < 1.5 - at `$.x`", "x: expected a number, less than 1.5"),
        ("Expected `str` of length >= 1 - at `$.title`", "title: expected text of at least 1 character"),
        ("Expected `str` of length <= 300", "expected text of at most 300 characters"),
        ("Expected `array` of length 2 to 3, got 5", "expected a list of 2 to 3 items"),
        ("Expected `array` of at least length 1, got 0", "expected a list of at least 1 item"),
        ("Expected `str`, got `int` - at `key` in `$.facts`", "facts: expected text, saw a whole number"),
        ("Object missing required field `id`", "id is missing"),
        ("Object missing required field `id` - at `$.data[0]`", "data[0].id is missing"),
        ("Integer value out of range - at `$.size`", "size: expected a number that fits into 64 bits"),
        ("Invalid enum value 'x' - at `$.kind`", "kind: expected one of the values that the contract has, not 'x'"),
    ],
)
def test_a_rule_in_words(sentence: str, told: str) -> None:
    assert str(broken_rule(sentence)) == told


def test_poison_says_it_in_these_words() -> None:
    with pytest.raises(PoisonError, match=r"^broken-contract: applied: expected an object, saw text$"):
        convert({"id": "summary", "userId": "ana", "applied": "x"}, SummaryDocument)
