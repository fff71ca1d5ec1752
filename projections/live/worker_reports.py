"""What workers say of themselves, asked at `/health/progress`."""

import asyncio
from collections.abc import Mapping

import httpx

from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, decode, not_ready

PATIENCE_S = 1.0


class WorkerReports:
    """Of the workers whose `addresses`, `http://HOST:PORT` by name, are known."""

    def __init__(self, addresses: Mapping[str, str], patience_s: float = PATIENCE_S) -> None:
        self._addresses = dict(addresses)
        self._client = httpx.AsyncClient(timeout=patience_s, trust_env=False)

    async def read(self) -> dict[str, ProgressReport | NotReadyReason]:
        """By worker, its report; the reason that it gave none where it does not answer. One that answers without a
        report is left out."""
        answers = await asyncio.gather(*(self._ask(name, base) for name, base in self._addresses.items()))
        return {name: found for name, found in zip(self._addresses, answers, strict=True) if found is not None}

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, name: str, base: str) -> ProgressReport | NotReadyReason | None:
        try:
            answer = await self._client.get(f"{base}/health/progress")
        except httpx.HTTPError as error:
            sentence = f"the {name} worker does not answer at {base} ({type(error).__name__})"
            return not_ready(name, NotReadyCause.NOT_ANSWERING, sentence)
        try:
            return decode(answer.content) if answer.status_code == 200 else None
        except PoisonError:
            return None
