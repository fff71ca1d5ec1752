"""The faults that an audited system's localcloud makes: rules that are put in force over its control endpoint."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from songline.processes.cloud_keys import read_keys
from songline.processes.vitals import http_client
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

ANSWER_S = 5.0


class _Report(msgspec.Struct):
    kind: str
    fired: int


_reports = Decoder(list[_Report], "not-an-answer")


class FaultsRefusedError(Exception):
    """localcloud answers, and does not take the rules. The message has its answer."""


class CloudFaults:
    """The rules in force in the localcloud at `control`, whose data folder is `data`. Threads must not share it.

    `struck` counts the requests that rules have struck, by kind, until they were replaced last.
    """

    def __init__(self, control: str, data: Path) -> None:
        self._address, self._data = f"{control}/faults", data
        self._http = http_client(ANSWER_S)
        self.struck: Counter[str] = Counter()

    def put(self, rules: Iterable[Mapping[str, Any]]) -> bool:
        """Put rules in force in place of all others; return whether localcloud has them. One that doesn't answer, as it
        may be killed or stopped, has not.

        Raises FaultsRefusedError, CloudKeysError and OSError.
        """
        keys = read_keys(self._data)
        headers = {} if keys is None else {"Authorization": f"Bearer {keys.control}"}
        try:
            fired = self._http.get(self._address, headers=headers)
            answer = self._http.put(self._address, headers=headers, content=msgspec.json.encode(list(rules)))
        except httpx.HTTPError:
            return False
        if not answer.is_success:
            raise FaultsRefusedError(
                f"PUT {self._address}: saw {answer.status_code}, {answer.text[:300]!r}; expected it to take the rules"
            )
        try:
            for one in _reports.decode(fired.content):
                self.struck[one.kind] += one.fired
        except PoisonError as error:
            raise FaultsRefusedError(f"GET {self._address}: saw {fired.text[:300]!r} ({error})") from None
        return True

    def close(self) -> None:
        self._http.close()
