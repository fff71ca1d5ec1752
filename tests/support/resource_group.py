"""Azure Resource Manager as the doctor asks it: a server that answers with what `infra/azure` declares."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.bicep.evaluation import Deployment

GROUP = "rg-songline-dev"
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
PROVIDERS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"

Documents = dict[str, list[dict[str, Any]]]


def documents(deployment: Deployment) -> Documents:
    """The lists of the resource group, by the path behind the provider, as Azure would give them after a deployment."""
    found: Documents = {}
    for one in deployment.resources:
        types, names = one.type.split("/"), one.name.split("/")
        path = "/".join([types[0], types[1], *(f"{name}/{kind}" for name, kind in zip(names, types[2:], strict=False))])
        document = {**one.body, "name": names[-1], "properties": dict(one.body.get("properties", {}))}
        if one.type == "Microsoft.ManagedIdentity/userAssignedIdentities":
            document["properties"] = {"principalId": f"<{one.id}.properties.principalId>"}
        if one.body.get("identity") == {"type": "SystemAssigned"}:
            document["identity"] = {"principalId": f"<{one.id}.identity.principalId>"}
        if one.type == _ASSIGNMENT:
            document["properties"]["scope"] = _placed(one.scope)
        if one.type.endswith("/sqlRoleAssignments"):
            document["properties"]["scope"] = _placed(document["properties"]["scope"])
        if one.type == "Microsoft.App/containerApps":
            document["properties"]["runningStatus"] = "Running"
        found.setdefault(path, []).append(document)
    for path in [
        path for path in found if path.startswith("Microsoft.EventHub/namespaces/") and path.endswith("eventhubs")
    ]:
        for hub in found[path]:
            found.setdefault(f"{path}/{hub['name']}/consumergroups", []).append({"name": "$Default"})
    # As it comes over the wire.
    plain: Documents = json.loads(json.dumps(found))
    return plain


def _placed(scope: str) -> str:
    """`/A.B/cs/ds/c/d`, as the evaluator has it, as Azure does: `…/A.B/cs/c/ds/d`."""
    if "/dbs/" in scope or scope.count("/") < 3:
        account, _, inner = scope.partition("/dbs/")
        provider, kind, name = account.strip("/").split("/")
        return f"{PROVIDERS}/{provider}/{kind}/{name}" + (f"/dbs/{inner}" if inner else "")
    parts = scope.strip("/").split("/")
    count = (len(parts) - 1) // 2
    kinds, names = parts[1 : 1 + count], parts[1 + count :]
    return f"{PROVIDERS}/{parts[0]}/" + "/".join(f"{kind}/{name}" for kind, name in zip(kinds, names, strict=True))


@asynccontextmanager
async def serving(lists: Documents, page_size: int = 5, status: int = 200) -> AsyncIterator[str]:
    """Serve the lists, so many resources a page; gives the address."""

    async def answer(request: web.Request) -> web.Response:
        if status != 200 or request.headers.get("Authorization") != "Bearer the-token":
            return web.json_response(
                {"error": {"code": "AuthorizationFailed"}}, status=status if status != 200 else 401
            )
        path = request.path.removeprefix(f"{PROVIDERS}/")
        start = int(request.query.get("$skiptoken", "0"))
        found = lists.get(path, [])
        document: dict[str, Any] = {"value": found[start : start + page_size]}
        if start + page_size < len(found):
            document["nextLink"] = str(request.url.update_query({"$skiptoken": str(start + page_size)}))
        return web.json_response(document)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
