"""What holds for every route of the API: HEAD, unknown parameters, hosts, other sites, bytes that are no text."""

import re
from typing import Any

import httpx
import pytest

from tests.support.api import ApiProcess
from tests.support.http import exchange, status
from tests.support.published_document import openapi_document

DOCUMENT = openapi_document()
VALUES = {
    "kind": "top",
    "window": "1h",
    "song_id": "song-1",
    "user_id": "user-1",
    "import_id": "import-1",
    "ingestion_id": "i-1",
    "erasure_id": "e-1",
    "name": "name:1",
}
STREAMS = ("/v1/live", "/v1/now-playing", "/v1/users/user-1/now-playing")
UNSIZED = (*STREAMS, "/v1/listeners/user-1/export")
"""Answers that are written as they are made."""
PAGES = (
    "/",
    "/docs",
    "/docs/events",
    "/asyncapi.json",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/health/events",
)
FILES = ("/assets/app.js", "/assets/style/theme.css", "/docs/assets/swagger-ui.css")


def operations(*methods: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation of these methods: its method, a path of it, and what its document says."""
    return [
        (method.upper(), path.format(**VALUES), operation)
        for path, found in DOCUMENT["paths"].items()
        for method, operation in found.items()
        if method in methods
    ]


READS = [path for _, path, _ in operations("get")]
WRITES = [(method, path) for method, path, _ in operations("post", "put", "delete")]
QUERIES = [
    (method, path, one["name"])
    for method, path, operation in operations("get", "post", "put", "delete")
    for one in operation.get("parameters", [])
    if one["in"] == "query"
]


def test_no_operation_is_left_out() -> None:
    assert len(READS) + len(WRITES) == sum(map(len, DOCUMENT["paths"].values())) >= 25
    assert {one["in"] for _, _, operation in operations("get") for one in operation.get("parameters", [])} <= {
        "path",
        "query",
        "header",
    }


@pytest.mark.parametrize("path", [*READS, *PAGES, *FILES, "/v1/nothing", "/v1/charts/top/2h", "/v1/songs?limit=0"])
def test_head_is_answered_as_get_is_without_the_body(web: httpx.Client, path: str) -> None:
    head = web.head(path)
    with web.stream("GET", path) as get:
        assert head.status_code == get.status_code
        assert head.headers.get("content-type") == get.headers.get("content-type")
        for name in ("etag", "cache-control", "vary", "content-security-policy"):
            assert head.headers.get(name) == get.headers.get(name), name
        if path not in UNSIZED:
            # Answers that tell the moment differ in nothing but that.
            assert abs(int(head.headers["content-length"]) - int(get.headers["content-length"])) < 8
    assert head.content == b""


def test_a_stream_that_is_asked_with_head_holds_nothing(web: httpx.Client, api: ApiProcess) -> None:
    # By a service, of which so many requests at once are taken.
    with httpx.Client(base_url=api.address, headers=api.headers, timeout=60) as client:
        # One connection, so each is over before the next.
        for _ in range(300):
            assert client.head("/v1/live").status_code == 200
    with web.stream("GET", "/v1/live") as live:
        assert live.status_code == 200


@pytest.mark.parametrize("path", [path for _, path in WRITES if path not in READS])
def test_head_of_what_is_only_written_says_what_can_be_done(web: httpx.Client, path: str) -> None:
    answer = web.head(path)
    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["allow"]


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in (*READS, *PAGES)), *WRITES])
def test_a_parameter_that_nobody_knows_is_refused(web: httpx.Client, method: str, path: str) -> None:
    answer = web.request(method, path, params={"nonsense": "1"})
    assert answer.status_code == 400, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["value"]) == ("nonsense", '"1"')


@pytest.mark.parametrize(("method", "path", "name"), QUERIES)
def test_a_parameter_that_is_misspelt_names_the_nearest(web: httpx.Client, method: str, path: str, name: str) -> None:
    for wrong in (f"{name}s", name.upper(), f"-{name}"):
        answer = web.request(method, path, params={wrong: "1"})
        assert answer.status_code == 400, answer.text
        (fault,) = answer.json()["errors"]
        assert fault["field"] == wrong
        assert fault["rule"].startswith(f"{name}, which is the nearest of ")


def test_one_value_is_enough(web: httpx.Client) -> None:
    answer = web.get("/v1/songs?limit=1&limit=2")
    assert answer.status_code == 400
    assert answer.json()["errors"][0] == {"field": "limit", "value": '"2"', "rule": "one value, and not another one"}


def asked(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "Connection: close", "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:8000"],
        ["127.0.0.1.evil.example"],
        ["localhost.evil.example"],
        ["localhost@evil.example"],
        ["127.0.0.1", "evil.example"],
        ["evil.example", "127.0.0.1"],
        ["127.0.0.1, evil.example"],
        ["[::1].evil.example"],
        [""],
        ["\xe9"],
        [],
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/charts"), ("GET", "/"), ("DELETE", "/v1/songs/a?userId=u")])
def test_under_a_foreign_name_nothing_is_answered(address: str, hosts: list[str], method: str, path: str) -> None:
    answer = exchange(address, asked(method, path, *(f"Host: {host}" for host in hosts)))
    assert status(answer) == 400
    assert b'"field":"Host"' in answer


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost:8000", "LOCALHOST", "[::1]:8000", "api", "[::1]"]
)
def test_under_an_address_or_a_name_of_this_machine_all_is(address: str, host: str) -> None:
    assert status(exchange(address, asked("GET", "/v1/charts", f"Host: {host}"))) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "nonsense"},
    ],
)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_page_of_another_site_writes(web: httpx.Client, method: str, path: str, headers: dict[str, str]) -> None:
    said = {**headers, "Content-Type": "text/plain"}
    answer = web.request(method, path, headers=said, content=b"{}" if method != "DELETE" else b"")
    assert answer.status_code == 403, answer.text
    assert "access-control-allow-origin" not in answer.headers
    assert "SONGLINE_ORIGINS" in answer.json()["detail"]


def test_the_page_itself_writes_and_so_does_what_is_no_page(web: httpx.Client, address: str) -> None:
    path = "/v1/users/user-1/likes/song-1"
    for headers in (
        {"Sec-Fetch-Site": "same-origin", "Origin": address},
        {"Sec-Fetch-Site": "none"},
        {"Origin": address},
        {},
    ):
        assert web.put(path, headers=headers).is_success


def test_no_other_page_may_read(web: httpx.Client) -> None:
    said = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    preflight = web.options("/v1/users/user-1/likes/song-1", headers=said)
    assert preflight.status_code == 405
    for answer in (preflight, web.get("/v1/songs", headers=said)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", [path for path in READS if path not in STREAMS])
def test_a_query_that_is_no_text_is_refused(address: str, shown: str, path: str) -> None:
    for query in (b"limit=%FF", b"%FF=1", b"q=%C3", b"q=%ED%A0%80"):
        head = [b"GET " + path.encode() + b"?" + query + b" HTTP/1.1", b"Host: x", b"Connection: close", shown.encode()]
        answer = exchange(address, b"\r\n".join([*head, b"", b""]))
        assert status(answer) == 400, answer


ODD = ["%2e%2e", "%2E", "%FF", "a%00b", "a%20b", "%2E%2E%2Fx", "%ED%A0%80", "%C3%28", "%F0%9F%98%80", "%", "%zz", "%0a"]
IN_PATHS = [
    (method.upper(), path, name)
    for path, found in DOCUMENT["paths"].items()
    for method in found
    for name in ("song_id", "user_id", "ingestion_id", "erasure_id")
    if f"{{{name}}}" in path
]


@pytest.mark.parametrize(("method", "path", "name"), IN_PATHS)
def test_a_path_that_is_no_id_is_refused_or_not_there(
    address: str, shown: str, method: str, path: str, name: str
) -> None:
    for odd in ODD:
        there = path.format(**{**VALUES, name: odd})
        answer = exchange(address, asked(method, there, "Host: x", "X-User-Id: u", "Content-Length: 0", shown))
        assert status(answer) in (400, 404, 405), (there, answer)


@pytest.mark.parametrize(
    "path", ["/assets/%00", "/assets/%FF", "/assets/%2e%2e/page.html", "/docs/assets/%00", "/\xff"]
)
def test_no_file_is_found_under_an_odd_name(address: str, path: str) -> None:
    answer = exchange(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert status(answer) in (400, 404), answer


@pytest.mark.parametrize("end", ["%0a", "%0A/", "%0D%0A"])
def test_a_path_with_a_line_end_behind_it_is_another_path(web: httpx.Client, end: str) -> None:
    for path in (*READS, *PAGES, *FILES):
        with web.stream("GET", path + end) as answer:
            assert answer.status_code == 404, path + end
        assert web.head(path + end).status_code == 404


def test_a_path_with_a_line_end_says_what_it_saw(web: httpx.Client) -> None:
    answer = web.get("/%0a")
    assert answer.headers["content-type"] == "application/problem+json"
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["value"]) == ("path", '"/%0a"')


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "/v1/songs", ["X-User-Id", "Idempotency-Key", "Content-Type"]),
        ("DELETE", "/v1/songs/song-1", ["X-User-Id", "Idempotency-Key"]),
        ("POST", "/v1/songs/song-1/plays", ["X-User-Id", "Idempotency-Key"]),
        ("PUT", "/v1/users/user-1/likes/song-1", ["Idempotency-Key"]),
        ("DELETE", "/v1/users/user-1/likes/song-1", ["Idempotency-Key"]),
        ("POST", "/v1/events", ["Content-Type"]),
    ],
)
def test_a_header_with_two_values_is_refused(web: httpx.Client, method: str, path: str, names: list[str]) -> None:
    usual = {"X-User-Id": "user-1", "Idempotency-Key": "key-1", "Content-Type": "audio/wav"}
    for name in names:
        headers = [*usual.items(), (name, "another")]
        answer = web.request(method, path, headers=headers, content=b"{}" if method == "POST" else b"")
        assert answer.status_code == 400, answer.text
        seen = answer.json()["errors"][0]["value"]
        assert usual[name] in seen
        assert "another" in seen


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in (*READS, *PAGES, *FILES)),
        *WRITES,
        ("GET", "/v1/nothing"),
        ("GET", "/assets/nothing.js"),
        ("GET", "/v1/charts/top/1h?nonsense=1"),
        ("PATCH", "/v1/events"),
        ("OPTIONS", "/v1/events"),
    ],
)
def test_no_answer_runs_a_script_or_is_in_a_frame(web: httpx.Client, method: str, path: str) -> None:
    with web.stream(method, path) as answer:
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
        (policy,) = answer.headers.get_list("content-security-policy")
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert rules.get("script-src", "'self'") == "'self'"


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/events"])
def test_a_page_has_no_script_of_its_own(web: httpx.Client, path: str) -> None:
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", web.get(path).text, re.DOTALL)
    assert scripts
    assert all(" src=" in attributes and not content.strip() for attributes, content in scripts)


def test_an_answer_to_another_host_has_them_too(web: httpx.Client) -> None:
    refused = web.get("/v1/charts", headers={"Host": "evil.example"})
    assert refused.status_code == 400
    assert "frame-ancestors 'none'" in refused.headers["content-security-policy"]
