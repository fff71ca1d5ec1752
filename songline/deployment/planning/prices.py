"""The prices of a day, read from a file: the one that is shipped, or one of the operator's own in the same form."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

SHIPPED = Path(__file__).with_name("prices.json")

Mark = Literal["measured", "published", "assumed"]
_WEAKEST: tuple[Mark, ...] = ("assumed", "published", "measured")


class PriceFileError(Exception):
    """A file that holds no prices. The message names the file, what was seen and what is expected."""


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` of the file's currency for one `unit`; `mark` says whether somebody has looked it up."""

    amount: Annotated[float, Meta(ge=0)]
    unit: str
    mark: Literal["published", "assumed"]
    source: str


class PriceFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The prices of one `region` as of `date`."""

    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d\Z")]
    region: str
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    prices: dict[str, Price]


_decoder = Decoder(PriceFile, "not-prices")


def read_prices(path: Path = SHIPPED) -> PriceFile:
    """The prices in a file, each that a plan needs in the unit that it counts in. Raises PriceFileError."""
    try:
        found = _decoder.decode(path.read_bytes())
    except OSError as error:
        raise PriceFileError(f"{path}: {error.strerror}; expected a file of prices") from None
    except PoisonError as error:
        raise PriceFileError(
            f"{path}: {error}; expected the form of {SHIPPED.name}, which `--prices` replaces"
        ) from None
    if path != SHIPPED:
        for name, shipped in read_prices().prices.items():
            own = found.prices.get(name)
            if own is None or own.unit != shipped.unit:
                seen = "nothing" if own is None else f"a price for one {own.unit}"
                raise PriceFileError(f"{path}: {name}: saw {seen}, expected a price for one {shipped.unit}")
    return found


def weakest(*marks: Mark) -> Mark:
    """How sure a figure is that was made of others: no surer than the least sure of them."""
    return next(mark for mark in _WEAKEST if mark in marks)
