"""What a running system shows to other users of its machine: rights of files, open ports, and secrets in texts."""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

SIGNED = re.compile(r"\bsig=[A-Za-z0-9%+/=]{20}|SharedAccessSignature sr=|eyJ[\w-]{20,}\.eyJ|AccountKey=[^;\s<*]{8}")
"""Signatures of Azure, tokens, and connection strings: none of them belongs into a log or an error."""


def loosened(data: Path) -> None:
    """Give the data folder the rights that an earlier version gave it."""
    for path in (data, *data.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def readable_by_others(data: Path) -> dict[str, str]:
    """The files and folders on which other users have rights, with their modes."""
    found = {}
    for path in (data, *data.rglob("*")):
        with suppress(FileNotFoundError):  # it went while the system works
            mode = path.lstat().st_mode
            if mode & 0o077 and not path.is_symlink():
                found[str(path.relative_to(data))] = oct(mode & 0o777)
    return found


def listening(pids: Iterable[int]) -> set[str]:
    """ADDRESS:PORT of every TCP port on which one of the processes listens."""
    sockets = set()
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    sockets.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, _, port = fields[1].partition(":")
                octets = bytes.fromhex(address)[::-1]
                text = ".".join(map(str, octets)) if table == "tcp" else f"[{address}]"
                found.add(f"{text}:{int(port, 16)}")
    assert found
    return found


def shown_secrets(data: Path, said: str, pids: Iterable[int], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Where a secret of the running system in `data` is to be read, with the secrets' names.

    Looks at its logs, at what `songline up` has `said`, at command lines of `pids`, and at answers to wrong requests.
    """
    token = subprocess.run(
        [sys.executable, "-m", "songline", "token", "--user", "user-7"],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    ).stdout.strip()
    settings = dict(line.split("=", 1) for line in (data / "songline.env").read_text().splitlines())
    secrets = {"token": token, **dict(_secrets(data))}
    assert {"keys.json sas", "keys.json cosmos", "keys.json blob", "keys.json control"} <= secrets.keys()
    assert any(name.startswith("identity/secrets") for name in secrets)
    texts = {
        "songline up": said,
        **{f"logs/{log.name}": log.read_text(errors="replace") for log in (data / "logs").iterdir()},
        **{f"process {pid}": line for pid, line in _command_lines(pids)},
        **dict(_answers(settings, secrets)),
    }
    assert len(texts) > 30
    shown = {where: [name for name, secret in secrets.items() if secret in text] for where, text in texts.items()}
    for where, text in texts.items():
        shown[where] += sorted(set(SIGNED.findall(text)))
    return {where: names for where, names in shown.items() if names}


def _secrets(data: Path) -> Iterator[tuple[str, str]]:
    """Every text that opens something, by where it is kept."""
    for name, key in json.loads((data / "keys.json").read_bytes()).items():
        yield f"keys.json {name}", key
    for file in (data / "identity").rglob("*"):
        if file.parent.name == "secrets":
            yield str(file.relative_to(data)), file.read_text().strip()
        elif file.suffix == ".json":
            for number, part in enumerate(_private_parts(json.loads(file.read_bytes()))):
                yield f"{file.relative_to(data)} {number}", part


def _private_parts(document: Any) -> Iterator[str]:
    """The private numbers of JSON Web Keys, anywhere in a document."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in ("d", "p", "q") and isinstance(value, str):
                yield value
            else:
                yield from _private_parts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _private_parts(value)


def _command_lines(pids: Iterable[int]) -> Iterator[tuple[int, str]]:
    for pid in pids:
        with suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _answers(settings: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What services answer to requests that are wrong: in their key, their scope, their shape."""
    api, issuer = settings["SONGLINE_API"], settings["SONGLINE_ISSUER"]
    connections = {
        "cosmos": _field(settings["AZURE_COSMOS_CONNECTIONSTRING"], "AccountEndpoint").rstrip("/"),
        "blob": _field(settings["AZURE_STORAGEBLOB_CONNECTIONSTRING"], "BlobEndpoint").rstrip("/"),
        "management": f"https://{settings['SONGLINE_SERVICEBUS_MANAGEMENT']}",
    }
    bearer = {"Authorization": f"Bearer {secrets['token']}"}
    client_secret = next(secret for name, secret in secrets.items() if name.startswith("identity/secrets"))
    workers = [settings[f"SONGLINE_{name}"] for name in ("TRENDING", "CATALOG", "LIBRARY", "INGESTION")]
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/nowhere", {}),
        ("GET", "/v1/charts/top/9y", {}),
        ("GET", "/v1/users/user-8/library?limit=x", {}),
        ("GET", "/v1/parked", {}),
        ("POST", "/v1/events", {"content": b"{oops"}),
        ("POST", "/v1/events", {"json": [{"id": "x"}]}),
        (
            "POST",
            "/v1/songs",
            {"content": b"--x", "headers": {**bearer, "Content-Type": "multipart/form-data"}},
        ),
        ("DELETE", "/v1/songs/none", {}),
    ]
    requests: list[tuple[str, str, dict[str, Any]]] = [
        *(("GET", f"{address}/health/{kind}", {}) for address in (api, *workers) for kind in ("ready", "progress")),
        *((method, f"{api}{path}", {"headers": bearer, **more}) for method, path, more in wrong),
        *(
            ("POST", f"{issuer}/token", {"data": {"client_secret": client_secret, **form}})
            for form in [
                {"grant_type": "client_credentials", "client_id": "nobody"},
                {"grant_type": "client_credentials", "client_id": "songline-cli", "scope": "all"},
                {"grant_type": "password", "client_id": "songline-cli"},
                {"grant_type": "client_credentials", "client_id": "songline-cli", "client_secret": client_secret + "x"},
                {},
            ]
        ),
        ("POST", f"{issuer}/revoke", {"data": {"token": secrets["token"], "client_id": "nobody"}}),
        ("GET", f"{issuer}/authorize?client_id=songline-cli&response_type=token", {}),
        ("GET", f"{connections['cosmos']}/dbs/songline", {}),
        ("GET", f"{connections['cosmos']}/dbs/songline", {"headers": {"authorization": "type%3Dmaster%26sig%3Dx"}}),
        ("GET", f"{connections['blob']}/songs/x?sv=2021-06-08&se=2099-01-01&sp=r&sr=b&sig=wrong", {}),
        ("GET", f"{connections['blob']}?comp=list", {"headers": {"Authorization": "SharedKey devstoreaccount1:x"}}),
        (
            "GET",
            f"{connections['management']}/song-commands",
            {"headers": {"Authorization": "SharedAccessSignature x"}},
        ),
    ]
    trusted = ssl.create_default_context(cafile=settings["SONGLINE_SERVICEBUS_CERTIFICATE"])
    with httpx.Client(timeout=60, trust_env=False, verify=trusted) as client:
        for number, (method, url, more) in enumerate(requests):
            answer = client.request(method, url, **more)
            yield f"{number}: {method} {url}: {answer.status_code}", f"{answer.text} {dict(answer.headers)}"


def _field(connection: str, name: str) -> str:
    return connection.partition(f"{name}=")[2].partition(";")[0]
