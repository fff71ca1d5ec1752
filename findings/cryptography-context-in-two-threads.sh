#!/bin/bash
# A cipher context of cryptography raises RuntimeError("Already borrowed") when two threads use it at once, but only with
# pieces that are large enough for it to give up Python's lock: 16 bytes never fail, 64 KiB do at once. ECB needs no order
# between its blocks, so sharing one encryptor looks safe, and a test with small pieces says that it is.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check cryptography==50.0.2
"$folder/venv/bin/python" - <<'PYTHON'
import threading
from importlib.metadata import version

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def errors(size_bytes: int, times: int) -> list[str]:
    """What four threads met that encrypt pieces of this size with one encryptor."""
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.ECB()).encryptor()
    met: list[str] = []

    def work() -> None:
        for _ in range(times):
            try:
                encryptor.update(bytes(size_bytes))
            except RuntimeError as error:
                met.append(str(error))
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return met


small, large = errors(16, 100_000), errors(65_536, 5_000)
print(f"cryptography {version('cryptography')}: 16 bytes: {small}; 65536 bytes: {large}")
assert small == [], "pieces of 16 bytes failed, too"
assert set(large) == {"Already borrowed"}, "large pieces no longer fail"
PYTHON
