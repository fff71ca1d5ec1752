"""Continuation tokens: ours come back as they were, the service's are read, anything else is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cosmos.continuation import Continuation, ServiceToken, decode, encode
from localcloud.cosmos.errors import BadRequestError

EXTENT = ("", "FF", None)
TEXTS = st.text(max_size=20)
SORTS = st.lists(st.lists(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS, max_size=1), max_size=3)
TOKENS = st.builds(
    Continuation,
    of=TEXTS,
    extent=st.tuples(TEXTS, TEXTS, st.none() | TEXTS),
    row=st.none() | st.tuples(TEXTS, TEXTS, TEXTS, st.integers(0, 2**31)),
    sort=st.none() | SORTS,
    given=st.integers(0, 2**31),
)


@given(TOKENS)
def test_a_token_comes_back_as_it_was(token: Continuation) -> None:
    assert decode(encode(token), token.of, token.extent) == token


@given(TOKENS, TEXTS, st.tuples(TEXTS, TEXTS, st.none() | TEXTS))
def test_a_token_is_for_one_query_and_one_part(
    token: Continuation, of: str, extent: tuple[str, str, str | None]
) -> None:
    if of != token.of or extent[0] != token.extent[0]:
        with pytest.raises(BadRequestError):
            decode(encode(token), of, extent)


KEY = "0A1B"


@pytest.mark.parametrize(
    ("given_by", "asked", "same"),
    [
        # A key by its value, as the span of one key, and as that of all that begin with it.
        ((KEY, f"{KEY}!", '["a"]'), (KEY, f"{KEY}FF", None), True),
        ((KEY, f"{KEY}FF", None), (KEY, f"{KEY}!", '["a"]'), True),
        ((KEY, "0A1C", None), (KEY, f"{KEY}!", '["a"]'), True),
        ((KEY, f"{KEY}!", '["a"]'), (KEY, "0A1C", None), True),
        ((KEY, "0A1D", None), (KEY, f"{KEY}!", '["a"]'), False),
        ((KEY, "not hex", None), (KEY, f"{KEY}!", '["a"]'), False),
        ((KEY, f"{KEY}!", '["a"]'), (KEY, f"{KEY}!", '["b"]'), False),
        # A range of the container that begins where the key does.
        ((KEY, "3F", None), (KEY, f"{KEY}!", '["a"]'), False),
        ((KEY, f"{KEY}!", '["a"]'), (KEY, "3F", None), False),
        (("", "FF", None), ("", "3F", None), False),
        (("0A", "0AFF", None), (KEY, f"{KEY}FF", None), False),
    ],
)
def test_a_key_is_one_part_however_it_is_named(
    given_by: tuple[str, str, str | None], asked: tuple[str, str, str | None], same: bool
) -> None:
    text = encode(Continuation("a query", given_by, row=(KEY, '["a"]', "7", 0)))
    if same:
        assert decode(text, "a query", asked) == Continuation("a query", given_by, row=(KEY, '["a"]', "7", 0))
    else:
        with pytest.raises(BadRequestError, match="another partition key range"):
            decode(text, "a query", asked)


@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    if text:
        with pytest.raises(BadRequestError):
            decode(text, "items", EXTENT)


def test_no_token_is_the_beginning() -> None:
    assert decode(None, "items", EXTENT) == decode("", "items", EXTENT) == Continuation("items", EXTENT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+RID:~Yxs1AOXBSp4BAAAAAAAAAA==#RT:1#TRC:5#ISV:2#IEO:65567", ServiceToken("Yxs1AOXBSp4BAAAAAAAAAA==", 5)),
        ("-RID:~a0NPAOszCpOChB4AAAAAAA==#RT:1#TRC:2#QCF:8", ServiceToken("a0NPAOszCpOChB4AAAAAAA==", 2)),
        ("+RID:a0NPAA==#RT:1", ServiceToken("a0NPAA==")),
        ("+RID:~a0NPAA==#RT:1#RTD:qP+/3==#TRC:12#FPC:AgE=", ServiceToken("a0NPAA==", 12)),
        ('{"token":"+RID:~a0NPAA==#TRC:3","range":{"min":"05c1","max":"FF"}}', ServiceToken("a0NPAA==", 3, "05C1")),
        ('{"token":null,"range":{"min":"1F","max":"FF"}}', ServiceToken("", 0, "1F")),
    ],
)
def test_tokens_of_the_service(text: str, expected: ServiceToken) -> None:
    assert decode(text, "items", EXTENT) == expected


@pytest.mark.parametrize(
    "text",
    [
        "+RID:",
        "RID:~a0NPAA==",
        "+RID:~a0NPAA==#trc:1",
        "{}",
        "[]",
        '{"token":1,"range":{}}',
        '{"token":"x","range":{}}',
        '{"token":null,"range":{"min":1}}',
        '{"token":"{}","range":{"min":""}}',
    ],
)
def test_what_only_looks_like_one_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        decode(text, "items", EXTENT)
