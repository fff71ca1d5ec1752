"""The first `azd up`: apps begin with a placeholder, and are processes of ours once azd has replaced its image."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from songline.deployment.access import PROCESSES
from songline.deployment.start import MODULES, PROCESS, module_of
from songline.doctor.azure.findings import PLACEHOLDER
from songline.doctor.azure.rights import STORE_ROLES
from songline.identity.settings import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET_FILE,
    ISSUER,
    SUBJECT_CLAIM,
    TOKEN,
    TOKEN_SCOPE,
)
from songline.processes.managed_identity import OPERATOR_ROLES
from tests.contract.azure.test_infrastructure import (
    AZURE,
    EVERY_OPTION,
    ROOT,
    apps,
    deployed,
    environment,
    of,
    with_options,
)
from tests.support.bicep.evaluation import Deployment

__all__ = ["deployed", "with_options"]


OPTIONAL = ("SONGLINE_SESSION_KEY", "SONGLINE_OPEN", "SONGLINE_SUBJECT_CLAIM", "SONGLINE_TOKEN_KEY")
"""What an app is told where an option says so."""


def test_before_there_is_an_image_a_placeholder_runs_without_probes(deployed: Deployment) -> None:
    for app in apps(deployed).values():
        (container,) = app.body["properties"]["template"]["containers"]
        assert container["image"].startswith(f"{PLACEHOLDER}:")
        assert container["probes"] == []


def test_an_app_is_its_process_once_it_has_an_image(deployed: Deployment, with_options: Deployment) -> None:
    """`azd deploy` replaces the image, and leaves all else as the placeholder had it."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\n")[0].rpartition("\nCMD ")[2]
    assert json.loads(image) == ["python", "-m", "songline.deployment.start"]
    for process, app in apps(deployed).items():
        (container,) = app.body["properties"]["template"]["containers"]
        assert not {"command", "args"} & container.keys()
        assert module_of(environment(app)).rpartition(".")[2] == process
        assert environment(app) == {
            name: value
            for name, value in environment(apps(with_options)[process]).items()
            if "PAGE" not in name and name not in OPTIONAL
        }


def test_azd_deploys_once_more_after_the_first_image() -> None:
    """Probes of a process would never find the placeholder well, so that they come with its image."""
    steps = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))["workflows"]["up"]["steps"]
    assert [step["azd"] for step in steps] == ["package --all", "provision", "deploy --all", "provision"]


def test_a_budget_keeps_the_month_in_which_it_began(deployed: Deployment, with_options: Deployment) -> None:
    """Azure refuses another start of a budget that is there, and so every deployment of a later month."""

    def starts(deployment: Deployment) -> list[str]:
        budgets = of(deployment, "Microsoft.Consumption/budgets").values()
        return [budget["timePeriod"]["startDate"] for budget in budgets]

    given = json.loads((AZURE / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    assert given["budgetStart"]["value"] == "${SONGLINE_BUDGET_START}"
    begun = with_options.outputs["SONGLINE_BUDGET_START"]
    later = Deployment(AZURE / "main.bicep", {**EVERY_OPTION, "month": "2027-01-01", "budgetStart": begun})
    assert starts(with_options) == starts(later) == [EVERY_OPTION["month"]]
    assert later.outputs["SONGLINE_BUDGET_START"] == begun
    # A budget that comes later begins in its own month: one that is over is refused too.
    assert deployed.outputs["SONGLINE_BUDGET_START"] == ""


@pytest.mark.parametrize("name", ["", "nobody"])
def test_an_image_without_a_process_says_which_there_are(name: str) -> None:
    with pytest.raises(SystemExit, match=rf"SONGLINE_PROCESS: saw {name or 'nothing'}, expected one of api, trending"):
        module_of({"SONGLINE_PROCESS": name})
    assert MODULES.keys() == PROCESSES.keys()


@pytest.mark.parametrize("name", ["api", "trending", "library"])
def test_the_command_of_the_image_is_the_process_that_the_setting_names(name: str) -> None:
    """It is the process itself, which says what it lacks."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "SONGLINE_"))}
    started = subprocess.run(
        [sys.executable, "-m", "songline.deployment.start"],
        env={**environ, PROCESS: name},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert started.returncode == 1
    assert started.stderr.startswith(f"{name}: "), started.stderr
    assert "AZURE_EVENTHUB_CONNECTIONSTRING" in started.stderr or "AZURE_COSMOS_CONNECTIONSTRING" in started.stderr


def test_an_operator_is_given_the_roles_by_which_commands_are_tested_here() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assigned = page.partition("for role in ")[2].partition("; do")[0]
    stores = {name: role for name, role in STORE_ROLES.values() if role in page}
    assert {*re.findall(r'"([^"]+)"', assigned), *stores} == set(OPERATOR_ROLES)
    assert all(f"# {name}\n" in page for name in stores)


def test_azd_hands_the_api_each_setting_that_entra_needs(with_options: Deployment) -> None:
    page = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
    section = page.partition("## Microsoft Entra ID\n")[2].partition("\n## ")[0]
    of_callers = {CLIENT_ID, CLIENT_SECRET_FILE, TOKEN, TOKEN_SCOPE}
    told = set(re.findall(r"`(SONGLINE_\w+)`", section)) - of_callers
    assert {ISSUER, AUDIENCE, SUBJECT_CLAIM} <= told <= environment(apps(with_options)["api"]).keys()
    given = (AZURE / "main.parameters.json").read_text(encoding="utf-8")
    begins = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("\nazd up\n")[0]
    assert {name for name in told if f"${{{name}" in given} == told
    assert {name for name in told if f"azd env set {name} " in begins} == {ISSUER, AUDIENCE, SUBJECT_CLAIM}


def test_what_azd_knows_is_not_committed() -> None:
    """The values of an environment may be secret."""
    assert {".azure/", ".azure-*.env"} <= set((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert "azd env get-values > .azure-production.env" in page


FILLED_IN = {"environmentName", "location", "images", "month", "budgetStart"}
"""Parameters that azd gives, or Bicep itself."""
OF_CALLERS = {
    "issuer",
    "audience",
    "subjectClaim",
    "open",
    "pageClientId",
    "pageClientSecret",
    "pageScopes",
    "sessionKey",
}
"""What the API and its page ask for."""


def test_the_page_names_each_parameter() -> None:
    declared = set(re.findall(r"^param (\w+) ", (AZURE / "main.bicep").read_text(encoding="utf-8"), re.MULTILINE))
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = page.partition("| parameter of `infra/azure/main.bicep` |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert named == declared - FILLED_IN


def test_azd_hands_on_what_the_api_and_its_page_ask_for() -> None:
    """As docs/deploy.md says: by the names of the settings."""
    given = json.loads((AZURE / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    names = {name: "SONGLINE_" + re.sub("([A-Z])", r"_\1", name).upper() for name in OF_CALLERS}
    assert {name for name, setting in names.items() if f"${{{setting}" not in str(given.get(name))} == set()
