"""Handlers for the account, databases, containers, their ranges, and offers."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from localcloud.cosmos import catalog, charges, items, json_documents, offers
from localcloud.cosmos.catalog import Catalog, Container, Resource
from localcloud.cosmos.errors import CROSS_PARTITION_DISABLED, BadRequestError, NotFoundError
from localcloud.cosmos.exchange import Reply, Request, feed_reply, read_query, resource_reply
from localcloud.cosmos.query.expressions import ROOT
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query
from localcloud.cosmos.storage import Storage


class ResourceHandlers:
    def __init__(self, storage: Storage, known: Catalog) -> None:
        self._storage = storage
        self._catalog = known

    async def read_account(self, request: Request) -> Reply:
        """One region that takes writes; its endpoint is the one that the client used."""
        location = [{"name": "Local", "databaseAccountEndpoint": f"{request.base}/"}]
        replication = {"minReplicaSetSize": 1, "maxReplicasetSize": 4}
        account: Resource = {
            "_self": "",
            "id": "localcloud",
            "_rid": "localcloud.documents.azure.com",
            "media": "//media/",
            "addresses": "//addresses/",
            "_dbs": "//dbs/",
            "writableLocations": location,
            "readableLocations": location,
            "enableMultipleWriteLocations": False,
            "continuousBackupEnabled": False,
            "enableNRegionSynchronousCommit": False,
            "userReplicationPolicy": {"asyncReplication": False, **replication},
            "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
            "systemReplicationPolicy": replication,
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": '{"maxSqlQueryInputLength":524288,"allowNewKeywords":true}',
        }
        return resource_reply(200, account, 0.0)

    async def list_databases(self, request: Request) -> Reply:
        return self._listed(request, "", "Databases", [d.describe() for d in self._catalog.databases.values()])

    async def create_database(self, request: Request) -> Reply:
        if request.is_query:
            return await self.list_databases(request)
        body = json_documents.decode(request.body)
        id_ = json_documents.check_id(body.get("id") if isinstance(body, dict) else None, limit=catalog.MAX_NAME)
        job = catalog.create_database(id_, _requested_throughput(request), request.now)
        database = await self._storage.write(job)
        self._catalog.databases[id_] = database
        await self._reload_throughput()
        return resource_reply(201, database.describe(), charges.METADATA_WRITE)

    async def read_database(self, request: Request) -> Reply:
        return resource_reply(200, self._catalog.database(request.address.id).describe(), charges.METADATA_READ)

    async def delete_database(self, request: Request) -> Reply:
        database = self._catalog.database(request.address.id)
        await self._storage.write(catalog.delete_database(database))
        self._catalog.databases.pop(database.id, None)
        await self._reload_throughput()
        return Reply(204, headers={"x-ms-request-charge": str(charges.METADATA_WRITE)})

    async def list_containers(self, request: Request) -> Reply:
        database = self._catalog.database(request.address.database)
        described = [container.describe() for container in database.containers.values()]
        return self._listed(request, database.rid, "DocumentCollections", described)

    async def create_container(self, request: Request) -> Reply:
        if request.is_query:
            return await self.list_containers(request)
        database = self._catalog.database(request.address.database)
        resource = catalog.complete_container(json_documents.decode(request.body))
        job = catalog.create_container(database, resource, _requested_throughput(request), request.now)
        container = await self._storage.write(job)
        database.containers[container.id] = container
        await self._reload_throughput()
        return _container_reply(201, container, charges.METADATA_WRITE)

    async def read_container(self, request: Request) -> Reply:
        container = self._container(request)
        reply = _container_reply(200, container, charges.METADATA_READ)
        wants_usage = request.flag("x-ms-documentdb-populatequotainfo")
        wants_ranges = request.flag("x-ms-documentdb-populatepartitionstatistics")
        if wants_usage or wants_ranges:
            sizes = await self._storage.scan(lambda session: items.sizes(session, container))
            if wants_usage:
                reply.headers |= _usage(sizes)
            if wants_ranges:
                reply.body = json_documents.encode(
                    {**container.describe(), "statistics": _statistics(container, sizes)}
                )
        return reply

    async def replace_container(self, request: Request) -> Reply:
        old = self._container(request)
        resource = catalog.complete_container(json_documents.decode(request.body))
        job = catalog.replace_container(old, resource, request.headers.get("if-match"), request.now)
        container = await self._storage.write(job)
        container.database.containers[container.id] = container
        return _container_reply(200, container, charges.METADATA_WRITE)

    async def delete_container(self, request: Request) -> Reply:
        container = self._container(request)
        await self._storage.write(catalog.delete_container(container))
        container.database.containers.pop(container.id, None)
        await self._reload_throughput()
        return Reply(204, headers={"x-ms-request-charge": str(charges.METADATA_WRITE)})

    async def list_ranges(self, request: Request) -> Reply:
        """Ranges never split here, so their ETag never changes. 304 says that the client has all of them."""
        container = self._catalog.container(request.address.database, request.address.container)
        etag = f'"{container.number}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(304, headers={"etag": etag, "x-ms-request-charge": str(charges.METADATA_READ)})
        rows = [json_documents.encode(container.describe_range(of)) for of in container.ranges]
        reply = feed_reply(container.rid, "PartitionKeyRanges", rows, charges.METADATA_READ)
        reply.headers["etag"] = etag
        return reply

    async def list_conflicts(self, request: Request) -> Reply:
        """Always empty: there is one region that takes writes, and the first write wins."""
        container = self._catalog.container(request.address.database, request.address.container)
        cross_partition = request.flag("x-ms-documentdb-query-enablecrosspartition")
        if request.method == "POST" and request.partition_key is None and not cross_partition:
            raise BadRequestError(CROSS_PARTITION_DISABLED)
        return self._listed(request, container.rid, "Conflicts", [])

    async def read_conflict(self, request: Request) -> Reply:
        raise NotFoundError(f"Resource Not Found: there is no conflict '{request.address.id}'.")

    async def list_offers(self, request: Request) -> Reply:
        return self._listed(request, "", "Offers", await self._storage.read(offers.read))

    async def read_offer(self, request: Request) -> Reply:
        listed = await self._storage.read(offers.read)
        offer = next((offer for offer in listed if offer["id"] == request.address.id), None)
        if offer is None:
            raise NotFoundError(f"Resource Not Found: there is no offer '{request.address.id}'.")
        return resource_reply(200, offer, charges.METADATA_READ)

    async def replace_offer(self, request: Request) -> Reply:
        body = json_documents.decode(request.body)
        if not isinstance(body, dict):
            raise BadRequestError("The offer is not a JSON object.")
        offer = await self._storage.write(offers.replace(request.address.id, body, request.now))
        await self._reload_throughput()
        return resource_reply(200, offer, charges.METADATA_WRITE)

    async def _reload_throughput(self) -> None:
        self._catalog.throughput = await self._storage.read(offers.read_throughput)

    def _container(self, request: Request) -> Container:
        return self._catalog.container(request.address.database, request.address.id)

    def _listed(self, request: Request, rid: str, name: str, resources: Iterable[Resource]) -> Reply:
        """A feed of the resources, or of the results of a query over them."""
        rows: list[object] = list(resources)
        if request.method == "POST":
            text, parameters = read_query(request)
            program = compile_query(parse(text), parameters, request.now_ms)
            rows = program.results(row for resource in rows for row in program.rows({ROOT: resource}))
            rows = rows[program.offset : program.offset + program.limit]
        return feed_reply(rid, name, [json_documents.encode(row) for row in rows], charges.METADATA_READ)


def _usage(sizes: list[tuple[int, int]]) -> dict[str, str]:
    """Headers with the usage and the quota of a container, in KB."""
    size = sum(size for _, size in sizes) // 1024
    count = sum(count for count, _ in sizes)
    return {
        "x-ms-resource-quota": "functions=0;storedProcedures=0;triggers=0;documentSize=2048;documentsSize=20971520;"
        "documentsCount=-1;collectionSize=20971520;",
        "x-ms-resource-usage": f"functions=0;storedProcedures=0;triggers=0;documentSize=0;documentsSize={size};"
        f"documentsCount={count};collectionSize={size};",
    }


def _statistics(container: Container, sizes: list[tuple[int, int]]) -> list[Resource]:
    return [
        {"id": of.id, "sizeInKB": size // 1024, "documentCount": count, "partitionKeys": []}
        for of, (count, size) in zip(container.ranges, sizes, strict=True)
    ]


def _container_reply(status: int, container: Container, charge: float) -> Reply:
    reply = resource_reply(status, container.describe(), charge)
    reply.headers["x-ms-alt-content-path"] = quote(f"dbs/{container.database.id}")
    reply.headers["x-ms-documentdb-collection-index-transformation-progress"] = "100"
    return reply


def _requested_throughput(request: Request) -> Resource | None:
    manual = request.number("x-ms-offer-throughput")
    settings = request.headers.get("x-ms-cosmos-offer-autopilot-settings")
    if manual is not None and settings is not None:
        raise BadRequestError("The request has manual throughput and autoscale settings: expected one of them.")
    if manual is not None:
        return offers.parse({"offerThroughput": manual})
    if settings is None:
        return None
    decoded: object = json_documents.decode(settings.encode())
    return offers.parse({"offerAutopilotSettings": decoded} if isinstance(decoded, Mapping) else {})
