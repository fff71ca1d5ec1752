"""A number that a caller names."""

import json
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from songline.projections.http.numbers import (
    DECIMAL_RULE,
    IS_DECIMAL,
    IS_WHOLE,
    WHOLE_RULE,
    checked_decimal,
    checked_whole,
)

whole: TypeAdapter[int] = TypeAdapter(Annotated[int, IS_WHOLE])
decimal: TypeAdapter[float] = TypeAdapter(Annotated[float, IS_DECIMAL])
STRANGE = ["", " 1", "1 ", "1\n", "+1", "1_0", "0x1", "1,5", "1.", ".5", "\u0663", "nan", "inf", "true", "9" * 5000]


@given(st.integers(-(10**19) + 1, 10**19 - 1))
def test_a_whole_number_is_what_it_says(number: int) -> None:
    assert whole.validate_python(str(number)) == whole.validate_python(f"{number}.0") == number


@given(st.floats(-1e15, 1e15) | st.integers(-1000, 1000))
def test_a_number_is_what_json_writes(number: float) -> None:
    assert decimal.validate_python(json.dumps(number)) == number


@pytest.mark.parametrize("text", [*STRANGE, "1.5", "1e2"])
def test_what_is_no_whole_number_is_refused_in_our_words(text: str) -> None:
    with pytest.raises(ValueError, match="number") as refused:
        checked_whole(text)
    assert str(refused.value) == WHOLE_RULE


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_no_number_is_refused_in_our_words(text: str) -> None:
    with pytest.raises(ValueError, match="number") as refused:
        checked_decimal(text)
    assert str(refused.value) == DECIMAL_RULE
