"""Continuation tokens in iterators of their own: each result comes once, or the request is refused."""

import base64
import collections
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, DatabaseProxy
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.cosmos.conftest import CreateContainer
from localcloud_tests.support.cosmos import CosmosAnswer, CosmosRequests

ITEMS: list[dict[str, Any]] = [{"id": f"{n:03}", "pk": f"p{n % 40}", "n": n, "deep": {"n": [n]}} for n in range(250)]
CONSENT = {"x-ms-documentdb-query-enablecrosspartition": "true"}
COMBINED: dict[str, list[Any]] = {
    "SELECT VALUE c.n FROM c ORDER BY c.n": list(range(250)),
    "SELECT VALUE c.n FROM c ORDER BY c.deep.n[0] DESC": list(range(249, -1, -1)),
    "SELECT DISTINCT VALUE c.pk FROM c": [f"p{n}" for n in range(40)],
    "SELECT DISTINCT VALUE c.pk FROM c ORDER BY c.pk": [f"p{n}" for n in range(40)],
    "SELECT TOP 120 VALUE c.n FROM c ORDER BY c.n": list(range(120)),
    "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 20 LIMIT 100": list(range(20, 120)),
    "SELECT VALUE SUM(c.n) FROM c": [sum(range(250))],
}


@pytest.fixture(scope="module")
def container(create_container: Callable[..., ContainerProxy]) -> ContainerProxy:
    """For all tests, which only read it."""
    composites = [[{"path": "/pk", "order": "ascending"}, {"path": "/n", "order": "descending"}]]
    made = create_container(indexing_policy={"includedPaths": [{"path": "/*"}], "compositeIndexes": composites})
    for item in ITEMS:
        made.create_item(item)
    return made


@pytest.fixture
def requests(shared_localcloud: LocalCloudProcess, container: ContainerProxy) -> Iterator[CosmosRequests]:
    with CosmosRequests(shared_localcloud, container.container_link) as requests:
        yield requests


def read_in_new_iterators(query: Callable[[], Any]) -> list[Any]:
    """All pages, each by an iterator that starts at the token of the one before."""
    found: list[Any] = []
    token = None
    while True:
        pages = query().by_page(token)
        found += list(next(pages))
        token = pages.continuation_token
        if token is None:
            return found


def all_pages(read: Callable[[dict[str, str]], CosmosAnswer], size: str, token: str | None = "") -> list[list[Any]]:
    """The pages of a query or a feed, from a token on; "" is the beginning."""
    pages: list[list[Any]] = []
    while token is not None:
        answer = read({"x-ms-max-item-count": size} | ({"x-ms-continuation": token} if token else {}))
        pages.append(answer.rows)
        token = answer.headers.get("x-ms-continuation")
    return pages


def read_or_refusal(query: Callable[[], Any]) -> list[Any] | CosmosHttpResponseError:
    try:
        return read_in_new_iterators(query)
    except CosmosHttpResponseError as error:
        return error


def is_whole(found: list[Any], expected: list[Any]) -> bool:
    return collections.Counter(found) == collections.Counter(expected)


@pytest.mark.parametrize("size", [7, 50, 63, 100, 249, 250, 1000])
@pytest.mark.parametrize("text", COMBINED)
def test_no_result_of_a_combined_query_is_lost(container: ContainerProxy, text: str, size: int) -> None:
    expected = COMBINED[text]

    def query() -> Any:
        return container.query_items(text, enable_cross_partition_query=True, max_item_count=size)

    assert is_whole(list(query()), expected)
    found = read_or_refusal(query)
    if isinstance(found, list):
        assert is_whole(found, expected)
    else:
        assert (found.status_code, "Invalid Continuation Token" in str(found)) == (400, True)
        assert size < len(expected) or "OFFSET" in text or "DISTINCT" in text


@pytest.mark.parametrize("size", [5, 10, 15, 100])
def test_no_result_of_one_range_is_lost(create_container: CreateContainer, size: int) -> None:
    """The client reads ahead: the last response may hold results that are not on its page."""
    container = create_container(offer_throughput=400)
    for n in range(15):
        container.create_item({"id": str(n), "pk": f"p{n}", "n": n})
    text = "SELECT VALUE c.n FROM c ORDER BY c.n"
    found = read_or_refusal(
        partial(container.query_items, text, enable_cross_partition_query=True, max_item_count=size)
    )
    assert isinstance(found, CosmosHttpResponseError) if size < 15 else found == list(range(15))


@pytest.mark.parametrize("size", [50, 100, 250])
async def test_no_result_is_lost_by_the_asynchronous_sdk(
    container: ContainerProxy, database: DatabaseProxy, shared_localcloud: LocalCloudProcess, size: int
) -> None:
    async with AsyncCosmosClient(shared_localcloud.cosmos_endpoint, shared_localcloud.cosmos_key) as client:
        proxy = client.get_database_client(database.id).get_container_client(container.id)

        def query() -> Any:
            return proxy.query_items("SELECT VALUE c.n FROM c ORDER BY c.n", max_item_count=size)

        pages = query().by_page()
        found: list[Any] = [n async for n in await anext(pages)]
        assert found == list(range(size))
        assert (pages.continuation_token is None) == (size == len(ITEMS))
        if pages.continuation_token is not None:
            with pytest.raises(CosmosHttpResponseError) as caught:
                await anext(query().by_page(pages.continuation_token))
            assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "SELECT VALUE c.n FROM c",
        "SELECT VALUE c.n FROM c ORDER BY c.n DESC",
        "SELECT DISTINCT VALUE c.n FROM c",
        "SELECT VALUE c.n FROM c ORDER BY c.pk OFFSET 0 LIMIT 1000",
    ],
)
def test_ranges_are_read_on_by_their_own_tokens(container: ContainerProxy, text: str) -> None:
    found: list[Any] = []
    for part in list(container.read_feed_ranges()):
        found += read_in_new_iterators(partial(container.query_items, text, feed_range=part, max_item_count=9))
    assert is_whole(found, list(range(250)))


def test_the_change_feed_of_a_range_is_read_on_by_its_tokens(container: ContainerProxy) -> None:
    found: list[str] = []
    for part in list(container.read_feed_ranges()):
        options: dict[str, Any] = {"feed_range": part, "start_time": "Beginning"}
        while page := [
            item["id"] for item in next(container.query_items_change_feed(max_item_count=9, **options).by_page(), ())
        ]:
            found += page
            options = {"continuation": container.client_connection.last_response_headers["etag"]}
    assert is_whole(found, [item["id"] for item in ITEMS])


def test_a_token_goes_on_only_in_the_range_that_gave_it(requests: CosmosRequests) -> None:
    for text in ("SELECT * FROM c", "SELECT * FROM c ORDER BY c.n", "SELECT DISTINCT VALUE c.n FROM c"):
        first = requests.query(text, {"x-ms-documentdb-partitionkeyrangeid": "0", "x-ms-max-item-count": "5"})
        again = {"x-ms-continuation": first.headers["x-ms-continuation"]}
        here = requests.query(text, again | {"x-ms-documentdb-partitionkeyrangeid": "0"})
        assert (here.status, len(here.rows) > 0) == (200, True)
        assert not [row for row in here.rows if row in first.rows]
        for other in (
            {"x-ms-documentdb-partitionkeyrangeid": "1"},
            {"x-ms-documentdb-partitionkey": '["p1"]'},
        ):
            assert requests.query(text, again | other).status == 400


@pytest.mark.parametrize("order", ["c.pk", "c.pk DESC", "c.pk ASC, c.n DESC"])
def test_a_client_may_change_its_filter_between_the_pages_of_a_range(requests: CosmosRequests, order: str) -> None:
    """Other SDKs put one into the rewritten query, and rely on the order of rows whose values are equal."""
    features = {"x-ms-cosmos-supported-query-features": "OrderBy, MultipleOrderBy"}
    answer = requests.query(
        f"SELECT * FROM c ORDER BY {order}", features | {"x-ms-cosmos-is-query-plan-request": "true"}
    )
    rewritten = json.loads(answer.body)["queryInfo"]["rewrittenQuery"]
    place = "{documentdb-formattableorderbyquery-filter}"
    assert rewritten.count(place) == 1
    of_range = {"x-ms-documentdb-partitionkeyrangeid": "0"}
    whole = requests.query(rewritten.replace(place, "true"), of_range).rows
    rids = [(row["orderByItems"][0]["item"], base64.b64decode(row["_rid"].replace("-", "/"))[:7:-1]) for row in whole]
    if "," not in order:
        assert rids == sorted(rids, reverse="DESC" in order)
    first = requests.query(rewritten.replace(place, "true"), of_range | {"x-ms-max-item-count": "7"})
    again = of_range | {"x-ms-continuation": first.headers["x-ms-continuation"]}
    assert first.rows + requests.query(rewritten.replace(place, "(c.n >= 0)"), again).rows == whole


@pytest.mark.parametrize("size", ["-1", "100", None])
def test_a_range_of_a_combined_query_is_read_with_any_page_size(requests: CosmosRequests, size: str | None) -> None:
    head = {
        "x-ms-documentdb-query-enablecrosspartition": "true",
        "x-ms-documentdb-partitionkeyrangeid": "0",
        **({"x-ms-max-item-count": size} if size else {}),
    }
    for text in ("SELECT DISTINCT VALUE c.n FROM c", "SELECT TOP 300 VALUE c.n FROM c"):
        answer = requests.query(text, head)
        assert (answer.status, "x-ms-continuation" in answer.headers) == (200, False)
        assert "etag" in answer.headers if size == "100" else "etag" not in answer.headers


SERVICE_FORMS = [
    "+RID:~{rid}#RT:1#TRC:3#ISV:2#IEO:65567#QCF:8",
    "-RID:~{rid}#RT:1#SRC:1#TRC:3#ISV:2#IEO:65567#QCF:8#FPC:AgEAAAAFAAAA",
    '{{"token":"+RID:~{rid}#RT:1#TRC:3#ISV:2#IEO:65567","range":{{"min":"","max":"FF"}}}}',
]


@pytest.mark.parametrize("form", SERVICE_FORMS)
@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM c",
        "SELECT * FROM c WHERE c.n >= 0",
        "SELECT * FROM c ORDER BY c.n",
        "SELECT * FROM c ORDER BY c.n DESC",
        "SELECT DISTINCT * FROM c",
        "SELECT * FROM c OFFSET 1 LIMIT 5",
        "SELECT TOP 5 * FROM c",
    ],
)
def test_a_token_in_the_service_s_form_goes_on(container: ContainerProxy, text: str, form: str) -> None:
    whole: list[Any] = list(container.query_items(text, partition_key="p3"))
    token = form.format(rid=whole[2]["_rid"])
    rest = container.query_items(text, partition_key="p3").by_page(token)
    assert [item["id"] for page in rest for item in page] == [item["id"] for item in whole[3:]]


@pytest.mark.parametrize("form", SERVICE_FORMS)
def test_a_feed_goes_on_at_a_token_in_the_service_s_form(requests: CosmosRequests, form: str) -> None:
    whole = [item for page in all_pages(requests.feed, "-1") for item in page]
    pages = all_pages(requests.feed, "-1", form.format(rid=whole[99]["_rid"]))
    assert [item["id"] for page in pages for item in page] == [item["id"] for item in whole[100:]]


def test_a_token_of_the_service_that_names_no_item_begins_anew(container: ContainerProxy) -> None:
    token = "-RID:~a0NPAOszCpOChB4AAAAAAA==#RT:1#TRC:2#ISV:2#IEO:65567#QCF:8"
    for text in ("SELECT VALUE c.n FROM c", "SELECT VALUE c.n FROM c ORDER BY c.n", "SELECT TOP 9 VALUE c.n FROM c"):
        whole = list(container.query_items(text, partition_key="p3"))
        pages: Any = container.query_items(text, partition_key="p3").by_page(token)
        assert [n for page in pages for n in page] == whole


def test_a_token_of_the_service_goes_on_where_its_gateway_s_range_begins(requests: CosmosRequests) -> None:
    low = requests.ranges()[2]["minInclusive"]
    token = f'{{"token":null,"range":{{"min":"{low}","max":"FF"}}}}'

    def read(head: dict[str, str]) -> CosmosAnswer:
        return requests.query("SELECT VALUE c.n FROM c", head | CONSENT)

    assert all_pages(read, "-1", token) == all_pages(read, "-1")[2:]


@pytest.mark.parametrize("first", ["key", "range"])
def test_a_key_is_read_on_whichever_way_it_is_named(container: ContainerProxy, first: str) -> None:
    text = "SELECT VALUE c.n FROM c"
    named: dict[str, dict[str, Any]] = {
        "key": {"partition_key": "p3"},
        "range": {"feed_range": container.feed_range_from_partition_key("p3")},
    }
    pages: Any = container.query_items(text, max_item_count=2, **named.pop(first)).by_page()
    found: list[Any] = list(next(pages))
    (other,) = named.values()
    for page in container.query_items(text, max_item_count=2, **other).by_page(pages.continuation_token):
        found += list(page)
    assert found == [3, 43, 83, 123, 163, 203, 243]


def test_a_token_whose_item_is_elsewhere_is_refused(container: ContainerProxy) -> None:
    elsewhere = container.read_item("004", "p4")["_rid"]
    with pytest.raises(CosmosHttpResponseError) as caught:
        next(
            container.query_items("SELECT * FROM c", partition_key="p3").by_page(
                f"+RID:~{elsewhere}#RT:1#TRC:1#ISV:2#IEO:65567"
            )
        )
    assert caught.value.status_code == 400


def test_an_item_that_was_deleted_after_its_token_repeats_but_loses_nothing(create_container: CreateContainer) -> None:
    container = create_container()
    for n in range(6):
        container.create_item({"id": f"{n}", "pk": "p", "n": n})
    rid = container.read_item("2", "p")["_rid"]
    container.delete_item("2", "p")
    pages: Any = container.query_items("SELECT VALUE c.n FROM c", partition_key="p").by_page(
        f"+RID:~{rid}#RT:1#TRC:3#ISV:2#IEO:65567"
    )
    assert [n for page in pages for n in page] == [0, 1, 3, 4, 5]


def test_a_page_ends_with_its_range(requests: CosmosRequests) -> None:
    """Plain filters and feeds are read range by range, as at the service: of one without results the page is empty."""
    of_ranges = [
        {row["id"] for row in requests.feed({"x-ms-documentdb-partitionkeyrangeid": each["id"]}).rows}
        for each in requests.ranges()
    ]
    assert len(of_ranges) == 4
    assert all(of_ranges)
    of_three = {item["id"] for item in ITEMS if item["pk"] in ("p3", "p7", "p8")}
    of_one = {item["id"] for item in ITEMS if item["pk"] == "p3"}

    def query(text: str) -> Callable[[dict[str, str]], CosmosAnswer]:
        return lambda head: requests.query(text, head | CONSENT)

    for read, wanted in (
        (query("SELECT * FROM c"), of_ranges),
        (requests.feed, of_ranges),
        (
            query("SELECT * FROM c WHERE c.pk IN ('p3', 'p7', 'p8')"),
            [found for part in of_ranges if (found := part & of_three)],
        ),
        (query("SELECT * FROM c WHERE c.pk = 'p3'"), [of_one]),
        (query("SELECT * FROM c WHERE c.n < 0"), [set()] * 4),
        (query("SELECT * FROM c WHERE c.pk = 'p3' AND c.n < 0"), [set()]),
    ):
        for size in ("1000", "30"):
            pages = [[row["id"] for row in page] for page in all_pages(read, size)]
            ids = [id_ for page in pages for id_ in page]
            assert sorted(ids) == sorted(set().union(*wanted))
            assert all(any(part.issuperset(page) for part in of_ranges) for page in pages)
            if size == "1000":
                assert [set(page) for page in pages] == wanted
