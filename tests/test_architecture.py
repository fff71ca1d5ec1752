"""The rules that the layout promises, held by the code itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cloud", "localcloud", "processors", "producers", "projections", "schemas", "songline")

# The composition root may import every stage; localcloud is a process that it starts, and no stage imports it.
MAY_IMPORT = {
    "schemas": set[str](),
    "cloud": set[str](),
    "localcloud": set[str](),
    "producers": {"schemas", "cloud"},
    "processors": {"schemas", "cloud"},
    "projections": {"schemas", "cloud"},
    "songline": {"schemas", "cloud", "producers", "processors", "projections"},
}

CLIENTS = {
    "EventHubProducerClient",
    "EventHubConsumerClient",
    "CosmosClient",
    "ServiceBusClient",
    "BlobServiceClient",
    "DefaultAzureCredential",
}

MAX_LINES = 400


def folder(package: str) -> Path:
    if package == "localcloud_tests":
        return ROOT / "packages" / "localcloud" / "tests"
    return ROOT / "packages" / package / "src" / package if package == "localcloud" else ROOT / package


def imported_as(package: str, path: Path) -> str:
    name = ".".join(path.relative_to(folder(package).parent).with_suffix("").parts).removesuffix(".__init__")
    return name if package in ("localcloud", "songline") else f"songline.{name}"


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted(path for path in folder(package).rglob("*.py") if "node_modules" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (placed(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            yield placed(node.module or "")


def placed(name: str) -> str:
    """A module's name by its folder: `songline.schemas.events` is `schemas.events`."""
    inner = name.removeprefix("songline.")
    return inner if inner.split(".")[0] in PACKAGES else name


def test_folders_are_imported_under_one_name() -> None:
    """`schemas` is a name that other projects have too; from anywhere it is `songline.schemas`."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} imports {name}"
        for path in modules(*PACKAGES, "bench", "localcloud_tests", "tests")
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] in PACKAGES and name.split(".")[0] not in ("songline", "localcloud")
    ]
    assert not wrong


def imported_modules(path: Path, known: Mapping[str, Path]) -> set[str]:
    """Those of the `known` modules that a file imports, anywhere in it: for type checks too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= submodules & known.keys()
            if not submodules <= known.keys():
                found.add(node.module)
    return found & known.keys()


def test_localcloud_has_no_import_circle() -> None:
    source = ROOT / "packages" / "localcloud" / "src"
    known = {
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(source.rglob("*.py"))
    }
    assert len(known) > 100
    imports = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    assert imports["localcloud.amqp.session"] >= {"localcloud.amqp.link", "localcloud.amqp.output_buffer"}
    # Raises CycleError, which names the circle.
    assert len(list(TopologicalSorter(imports).static_order())) == len(known)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_only_towards_schemas_and_cloud(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imported(path)
        if name.split(".")[0] in PACKAGES and name.split(".")[0] not in allowed
    ]
    assert not wrong


def test_localcloud_is_tested_without_the_product() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("localcloud_tests")
        for name in imported(path)
        if name.split(".")[0] in (*PACKAGES, "bench", "tests") and name.split(".")[0] != "localcloud"
    ]
    assert not wrong


def test_processors_do_not_import_each_other() -> None:
    """What is beside their folders, and the folder `runtime`, is for all of them, and knows none. `history` makes again
    and erases what each of them makes, and is imported by none but where processes are put together, as `imports` is,
    which runs in the process of ingestion."""
    workers = {path.name for path in (ROOT / "processors").iterdir() if path.is_dir()} - {"runtime"}
    wrong = []
    for path in modules("processors"):
        own = path.relative_to(ROOT / "processors").parts[0]
        for name in imported(path) if own != "history" else ():
            parts = name.split(".")
            may = {own, "history", "imports"} if path.name == "process.py" else {own}
            if parts[0] == "processors" and parts[1:2] and parts[1] in workers - may:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_only_cloud_builds_azure_clients() -> None:
    wrong = []
    for path in modules("producers", "processors", "projections", "songline"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if not isinstance(node, ast.Call):
                continue
            names = {part.id for part in ast.walk(node.func) if isinstance(part, ast.Name)}
            names |= {part.attr for part in ast.walk(node.func) if isinstance(part, ast.Attribute)}
            if names & CLIENTS:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} builds {names & CLIENTS}")
    assert not wrong


DECODES = {
    "msgspec.json.decode",
    "msgspec.json.Decoder",
    "msgspec.msgpack.decode",
    "msgspec.msgpack.Decoder",
    "json.load",
    "json.loads",
}
# These read what this very code has written.
READ_THEIR_OWN = {
    "processors/ingestion/transitions.py",
    "producers/http/event_openapi.py",
    "schemas/asyncapi.py",
    "schemas/decoding.py",
    "schemas/jsonschema.py",
    "schemas/moments.py",
    "schemas/publish.py",
    "songline/api/declarations.py",
}
REFUSALS = {"PoisonError", "UnicodeDecodeError", "UnicodeError", "ValueError"}


def test_only_the_one_decoder_reads_bytes_of_others() -> None:
    """All that decoding may raise is PoisonError there (`schemas.decoding`); elsewhere something would be forgotten."""
    wrong = []
    for path in modules("cloud", "producers", "processors", "projections", "schemas", "songline"):
        if path.relative_to(ROOT).as_posix() in READ_THEIR_OWN:
            continue
        tree = ast.parse(path.read_text(), str(path))
        guarded = {
            id(node)
            for attempt in ast.walk(tree)
            if isinstance(attempt, ast.Try) and any(map(_takes_refusals, attempt.handlers))
            for node in ast.walk(ast.Module(attempt.body, []))
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in ("json", "msgspec.json", "msgspec.msgpack"):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports from {node.module}")
            elif isinstance(node, ast.ImportFrom) and node.module == "msgspec":
                names = {alias.name for alias in node.names} & {"json", "msgpack"}
                wrong += [f"{path.relative_to(ROOT)}:{node.lineno} imports {name} of msgspec" for name in names]
            elif isinstance(node, ast.Attribute) and ast.unparse(node) in DECODES:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} uses {ast.unparse(node)}")
            elif isinstance(node, ast.Call) and id(node) not in guarded and _reads_text(node):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} decodes: {ast.unparse(node)}")
    assert not wrong, "use songline.schemas.decoding: Decoder, MsgpackDecoder, read_text, excerpt"


def _takes_refusals(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and bool({ast.unparse(node) for node in ast.walk(handler.type)} & REFUSALS)


def _reads_text(call: ast.Call) -> bool:
    """Whether it is `bytes.decode()` as UTF-8 or ASCII, strictly, of something else than what was encoded there; or
    the `json()` of a response."""
    if not isinstance(call.func, ast.Attribute) or call.keywords or len(call.args) > 1:
        return False
    if call.func.attr == "json":
        return not call.args
    encoding = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else "utf-8"
    if call.func.attr != "decode" or (call.args and not isinstance(call.args[0], ast.Constant)):
        return False
    made_here = isinstance(call.func.value, ast.Call) and "encode" in ast.unparse(call.func.value.func)
    return str(encoding).lower() != "latin-1" and not made_here


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("body.decode()", True),
        ("body.decode('utf-8')", True),
        ("body.decode('ascii')", True),
        ("answer.json()", True),
        ("body.decode(errors='replace')", False),
        ("body.decode('utf-8', 'replace')", False),
        ("header.decode('latin-1')", False),
        ("msgspec.json.encode(value).decode()", False),
        ("b64encode(body).decode()", False),
        ("decoder.decode(body)", False),
    ],
)
def test_what_counts_as_reading_text(text: str, reads: bool) -> None:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _reads_text(call) is reads


def test_no_file_hides_a_second_noun() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in modules(*PACKAGES, "bench", "localcloud_tests", "tests")
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in modules(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.ClassDef):
                yield path, node


@pytest.mark.parametrize("distribution", ["localcloud", "songline"])
def test_a_class_name_stands_in_one_module_of_a_distribution(distribution: str) -> None:
    """One word means one thing, and one thing has one word."""
    places: dict[str, set[str]] = {}
    for path, node in classes():
        if (distribution == "localcloud") == path.is_relative_to(ROOT / "packages"):
            places.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))
    assert len(places) > 100
    assert not {name: sorted(found) for name, found in places.items() if len(found) > 1}, "rename one of each"


def test_exceptions_end_in_error() -> None:
    """What is raised and what is returned never share a name. Ruff's N818 sees direct bases only."""
    bases: dict[str, set[str]] = {}
    for _, node in classes():
        bases.setdefault(node.name, set()).update(ast.unparse(base).rpartition(".")[2] for base in node.bases)
    raised: set[str] = set()
    while more := {
        name
        for name, of in bases.items()
        if name not in raised and any(one in raised or one.endswith(("Error", "Exception")) for one in of)
    }:
        raised |= more
    assert len(raised) > 50
    wrong = {name for name in raised if not name.endswith("Error")}
    assert not wrong, "let these names end in Error"


# Runs in a fresh interpreter: imports every module and reports what its own body did besides defining names (what a
# library does while it is being imported is the library's affair).
AUDIT = """
import importlib, sys
root, *names = sys.argv[1:]
watched = ("socket.connect", "socket.bind", "subprocess.Popen", "os.remove", "os.mkdir", "os.fork")
def hook(event, args):
    if event in watched or event == "open" and set(args[1] or "") & set("wax+"):
        frame = sys._getframe()
        while frame and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        file = frame.f_code.co_filename if frame else ""
        if file.startswith(root) and "site-packages" not in file:
            print(f"{file}:{frame.f_lineno}: {event} {args[0]}")
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
"""


def test_nothing_happens_on_import() -> None:
    names = [
        imported_as(package, path) for package in PACKAGES for path in modules(package) if path.name != "__main__.py"
    ]
    # -B: to write bytecode is the interpreter's affair.
    done = subprocess.run(
        [sys.executable, "-B", "-c", AUDIT, str(ROOT), *names], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_a_folder_for_temporary_files_is_one_that_a_killed_process_does_not_leave() -> None:
    """They hold files of strangers. The data of an audit is its own, and kept where it proves a fault."""
    made_where_all_are = {"mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "mkstemp"}
    places = {
        str(path.relative_to(ROOT))
        for path in modules(*(name for name in PACKAGES if name != "localcloud"))
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).removeprefix("tempfile.") in made_where_all_are
        and not any(keyword.arg == "dir" for keyword in node.keywords)
    }
    assert places == {"songline/commands/audit.py"}


MAY_LEAVE_WORK_BEHIND = {
    "processors/trending/faust/record_sender.py": "futures of a producer, which sends what it has taken in any case",
    "processors/trending/state_writer.py": "futures of a producer",
    "processors/trending/shards/worker.py": "threads, which nothing cancels",
    "projections/matches/named_songs.py": "two short readings by a client that lives as long as the API",
    "songline/audit/run.py": "faults, which are ended behind it one after the other",
}


def test_no_work_goes_on_behind_an_error() -> None:
    """`asyncio.gather` raises the first error and leaves the rest running, on connections that are closed under it."""
    places = {
        str(path.relative_to(ROOT))
        for path in modules(*(name for name in PACKAGES if name != "localcloud"))
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "asyncio.gather"
        and not any(keyword.arg == "return_exceptions" for keyword in node.keywords)
    }
    assert places == MAY_LEAVE_WORK_BEHIND.keys(), "use songline.cloud.concurrency.gather_or_cancel"


def test_a_rule_about_safety_is_silenced_for_a_reason() -> None:
    """Ruff's rules S are bandit's."""
    without = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in modules(*PACKAGES, "bench")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"noqa: S[0-9]", line) and not re.search(r"# noqa: S[0-9]+ - \w", line)
    ]
    assert without == []
