"""`python -m tests.support.bicep.arm FOLDER`: write what `infra/azure` deploys as a template that checkov reads.

checkov's own reader of Bicep knows no lambdas, and leaves out each file that has one.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.bicep.evaluation import Deployment

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def arm_template(deployment: Deployment) -> dict[str, Any]:
    """All resources in one template, with what only Azure knows as a text in angle brackets."""
    resources = [
        {**one.body, "type": one.type, "apiVersion": one.version, "name": one.name} for one in deployment.resources
    ]
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}


def main(folder: Path) -> None:
    main_file = Path(__file__).parents[3] / "infra" / "azure" / "main.bicep"
    given = {"environmentName": "dev", "location": "westeurope", "issuer": "https://login.example/"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.json").write_text(json.dumps(arm_template(Deployment(main_file, given)), indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
