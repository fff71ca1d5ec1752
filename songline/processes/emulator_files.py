"""The files that declare hubs and queues, in the format of Microsoft's emulators; localcloud reads them too.

`localcloud.json` is merged over `Config.json`: it holds the settings that only localcloud has.
"""

from pathlib import Path
from typing import Literal

# A link to infra/emulators, so that a wheel has the files too.
FOLDER = Path(__file__).parents[1] / "emulator_config"


def files(service: Literal["eventhubs", "servicebus"]) -> list[Path]:
    """`Config.json` and the file that is merged over it, in this order."""
    return [FOLDER / service / "Config.json", FOLDER / service / "localcloud.json"]
