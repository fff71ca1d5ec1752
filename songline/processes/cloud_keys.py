"""The keys of localcloud's services in a data folder: made on the first `songline up`, and kept in `DATA/keys.json`.

localcloud reads the same file.
"""

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from songline.processes.private_file import write_private
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

FILE = "keys.json"
BLOB_ACCOUNT = "devstoreaccount1"


class CloudKeysError(Exception):
    """The file of keys is damaged. The message names it and says what to do."""


class CloudKeys(msgspec.Struct, frozen=True):
    """The key of Event Hubs, Kafka and Service Bus (`sas`), those of Cosmos DB and Blob Storage (base64), and that of
    localcloud's control endpoint."""

    sas: str
    cosmos: str
    blob: str
    control: str = ""

    def __repr__(self) -> str:
        return "CloudKeys()"

    def namespace(self, address: str) -> str:
        """The connection string of Event Hubs or Service Bus at `address`, HOST:PORT, here and below."""
        return (
            f"Endpoint=sb://{address};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={self.sas};"
            "UseDevelopmentEmulator=true"
        )

    def cosmos_account(self, address: str) -> str:
        """The connection string of Cosmos DB."""
        return f"AccountEndpoint=http://{address}/;AccountKey={self.cosmos}"

    def blob_account(self, address: str) -> str:
        """The connection string of Blob Storage."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={BLOB_ACCOUNT};AccountKey={self.blob};"
            f"BlobEndpoint=http://{address}/{BLOB_ACCOUNT};"
        )


PUBLISHED = CloudKeys(
    sas="SAS_KEY_VALUE",
    cosmos="C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
    blob="Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
"""The keys that Microsoft publishes with its emulators. They are no secrets."""

_keys = Decoder(CloudKeys, "not-keys")


def read_keys(data: Path) -> CloudKeys | None:
    """The keys of the data folder; None where it has none yet. Raises CloudKeysError and OSError."""
    file = data / FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = _keys.decode(content)
    except PoisonError:
        # Not with the decoder's words, which may show a piece of a key.
        found = CloudKeys("", "", "")
    if not all((found.sas, found.cosmos, found.blob, found.control)):
        raise CloudKeysError(
            f"{file} holds no keys: expected JSON with the texts sas, cosmos, blob and control. Mend it, or delete "
            "it: the next `songline up` makes new ones, and all data stays"
        )
    return found


def kept_keys(data: Path, say: Callable[[str], None]) -> CloudKeys:
    """The keys of the data folder, made where it has none; `say` gets a line if there was data under published ones.

    Raises CloudKeysError and OSError.
    """
    found = read_keys(data)
    if found is None:
        found = make_keys(data)
        if (data / "cosmos").exists():
            say(
                f"The data in {data} was kept under the keys that Microsoft publishes. From now on it has keys of its "
                f"own, in {data / FILE}; --dev-keys brings the published ones back."
            )
    return found


def make_keys(data: Path) -> CloudKeys:
    """New keys, written into the data folder for its owner alone. Raises OSError."""
    made = CloudKeys(_random(32), _random(64), _random(64), _random(32))
    write_private(data / FILE, msgspec.json.encode(made) + b"\n")
    return made


def _random(size_bytes: int) -> str:
    return base64.b64encode(secrets.token_bytes(size_bytes)).decode()
