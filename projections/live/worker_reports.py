"""Reads the workers' progress reports from `/health/progress`."""

from collections.abc import Mapping

import httpx

from songline.cloud.concurrency import gather_or_cancel
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, decode, not_ready

PATIENCE_S = 1.0


class WorkerReports:
    """The reports of the workers at `addresses`, which has `http://HOST:PORT` by name."""

    def __init__(self, addresses: Mapping[str, str], patience_s: float = PATIENCE_S) -> None:
        self._addresses = dict(addresses)
        self._client = httpx.AsyncClient(timeout=patience_s, trust_env=False)

    async def read(self) -> dict[str, ProgressReport | NotReadyReason]:
        """The report by worker, or the reason why it doesn't answer. A worker that answers without a report is left
        out."""
        answers = await gather_or_cancel(self._read(name, base) for name, base in self._addresses.items())
        return {name: found for name, found in zip(self._addresses, answers, strict=True) if found is not None}

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def _read(self, name: str, base: str) -> ProgressReport | NotReadyReason | None:
        try:
            answer = await self._client.get(f"{base}/health/progress")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            sentence = f"the {name} worker does not answer at {base} ({type(error).__name__})"
            return not_ready(name, NotReadyCause.NOT_ANSWERING, sentence)
        try:
            return decode(answer.content) if answer.status_code == 200 else None
        except PoisonError:
            return None
