"""The document of the key of trending's sets."""

import pytest

from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import DOCUMENT, IdentityKeyError, stored_key


def test_a_key_is_read_from_its_document() -> None:
    secret = bytes(range(16))
    assert stored_key({"id": DOCUMENT, "key": secret.hex()}).id == IdentityKey(secret).id


@pytest.mark.parametrize("damaged", [{}, {"key": None}, {"key": 7}, {"key": ""}, {"key": "no hex"}, {"key": "00" * 15}])
def test_a_document_without_a_key_is_named_with_what_to_do(damaged: dict[str, object]) -> None:
    with pytest.raises(IdentityKeyError, match=r"@trending-identities.*'attempts'.*restore it"):
        stored_key({"id": DOCUMENT, **damaged})
