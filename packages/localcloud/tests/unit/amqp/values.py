"""Random AMQP values."""

from hypothesis import strategies as st

from localcloud.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Decimal128,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    Value,
)


def _range(low: int, high: int) -> st.SearchStrategy[int]:
    """With the ends and the bounds of short forms more often than by chance."""
    edges = [edge for edge in (low, high, -129, -128, -1, 0, 1, 127, 128, 255, 256) if low <= edge <= high]
    return st.sampled_from(edges) | st.integers(low, high)


TEXT = st.text(max_size=20) | st.text(alphabet="aé€😀", min_size=250, max_size=260)
SYMBOLS = st.text(alphabet=st.characters(max_codepoint=127), max_size=20).map(Symbol)
SCALARS: list[st.SearchStrategy[Value]] = [
    st.none(),
    st.booleans(),
    _range(0, 2**8 - 1).map(Ubyte),
    _range(0, 2**16 - 1).map(Ushort),
    _range(0, 2**32 - 1).map(Uint),
    _range(0, 2**64 - 1).map(Ulong),
    _range(-(2**7), 2**7 - 1).map(Byte),
    _range(-(2**15), 2**15 - 1).map(Short),
    _range(-(2**31), 2**31 - 1).map(Int),
    _range(-(2**63), 2**63 - 1),
    _range(-(2**63), 2**63 - 1).map(Timestamp),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Float),
    st.characters().map(Char),
    st.uuids(),
    TEXT,
    SYMBOLS,
    st.binary(max_size=20) | st.binary(min_size=250, max_size=260),
    st.binary(min_size=4, max_size=4).map(Decimal32),
    st.binary(min_size=8, max_size=8).map(Decimal64),
    st.binary(min_size=16, max_size=16).map(Decimal128),
]
SCALAR = st.one_of(SCALARS)
# Keys of one type, as maps of the protocol have them: 1, 1.0 and True are one and the same key in Python.
KEYS = st.one_of(SYMBOLS, TEXT)


def _composite(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    arrays = st.one_of([st.lists(kind, max_size=5).map(tuple).map(Array) for kind in SCALARS])
    described = st.builds(Described, st.integers(0, 2**64 - 1).map(Ulong) | SYMBOLS, inner)
    composites: list[st.SearchStrategy[Value]] = [
        st.lists(inner, max_size=5).map(list),
        st.dictionaries(KEYS, inner, max_size=5).map(lambda items: dict(items.items())),
        described,
        arrays,
    ]
    return st.one_of(composites)


VALUES: st.SearchStrategy[Value] = st.recursive(SCALAR, _composite, max_leaves=20)
