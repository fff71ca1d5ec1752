"""The policy of a version of the charts, which its worker reads before it begins. Version 1 has the product's own."""

from azure.cosmos.aio import ContainerProxy

from songline.processors.runtime import live_version
from songline.schemas.channels import CHARTS
from songline.schemas.errors import ContractViolationError
from songline.schemas.policy import V1, ChartPolicy, parse_policy, policy_text
from songline.schemas.projections import FIRST_VERSION, DamagedVersionError, version_id


def policy_id(version: int) -> str:
    """The id of the document that holds the policy of a version."""
    return f"{version_id(CHARTS, version)}:policy"


async def write_policy(projections: ContainerProxy, version: int, policy: ChartPolicy) -> None:
    """Store the policy of a version in the container `projections`. Raises AzureError."""
    await projections.upsert_item({"id": policy_id(version), "text": policy_text(policy)}, no_response=True)


async def read_policy(projections: ContainerProxy, version: int) -> ChartPolicy:
    """The policy of a version. Raises AzureError, and DamagedVersionError where a later version has none."""
    if version == FIRST_VERSION:
        return V1
    found = await live_version.read_document(projections, policy_id(version))
    try:
        return parse_policy(str((found or {})["text"]))
    except (KeyError, ContractViolationError) as error:
        raise DamagedVersionError(
            f"the policy of version {version} of {CHARTS} is not known: the document {policy_id(version)!r} of the "
            f"container `projections` is {'gone' if found is None else f'damaged ({error})'}; rebuild the charts, or "
            f"switch to another version with `songline projection switch {CHARTS} N`"
        ) from None
