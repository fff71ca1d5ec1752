"""The declared hubs, with another retention."""

import json
import shutil
from pathlib import Path

from songline.processes.emulator_files import FOLDER


def declared_with(folder: Path, retention_s: int) -> Path:
    """Copy what is declared into the new `folder`, and have hubs that are not compacted keep events so long; return it.

    Retention removes whole segments, which are at least a minute old, so events are kept for somewhat longer.
    """
    shutil.copytree(FOLDER, folder)
    whole = json.loads((folder / "eventhubs" / "Config.json").read_bytes())
    file = folder / "eventhubs" / "localcloud.json"
    merged = json.loads(file.read_bytes())
    (declared,) = whole["UserConfig"]["NamespaceConfig"]
    (changed,) = merged["UserConfig"]["NamespaceConfig"]
    entities = {one["Name"]: one for one in changed["Entities"]}
    for hub in declared["Entities"]:
        properties = entities.setdefault(hub["Name"], {"Name": hub["Name"]}).setdefault("Properties", {})
        if properties.get("CleanupPolicy") != "Compact":
            properties.pop("RetentionInHours", None)
            properties["RetentionInSeconds"] = retention_s
    changed["Entities"] = list(entities.values())
    file.write_text(json.dumps(merged, indent=2))
    return folder
