"""The process that folds one moment of the past: a question on standard input, its answer on standard output.

A fold takes a core for as long as it lasts. In a process of its own it takes none of the API's, and can be ended.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

import msgspec
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.cloud import cosmos
from songline.cloud.logs import log_to_stderr
from songline.cloud.settings import COSMOS_CONNECTION, COSMOS_ENDPOINT, SettingError, read_cosmos
from songline.processors.history.archive.errors import ArchiveHoleError, DamagedFileError, HistoryError
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.opening import open_history
from songline.processors.history.archive.spans import MomentError, NoHistoryError, SpannedHistory
from songline.processors.history.as_of.answers import (
    Answer,
    ChartsQuestion,
    FoldFailure,
    LibraryQuestion,
    MomentRefusal,
    Question,
)
from songline.processors.history.as_of.library import library_as_of
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, NamesToCome
from songline.processors.history.erasure.tail_names import erasures_of, is_being_forgotten, read_keyed
from songline.processors.history.index.opening import open_index
from songline.processors.runtime.match_watch import read_matches
from songline.processors.runtime.service_errors import last_line
from songline.schemas.decoding import Decoder
from songline.schemas.name_matches import NO_MATCHES, NameMatches
from songline.schemas.projections import DamagedVersionError

BEING_FORGOTTEN = "this listener is being forgotten: the past is answered again once the archive is without them"

FORGOTTEN_MEANWHILE = "listeners were forgotten while this moment was folded: ask again"
TRIES = 3
"""So often charts are folded where a listener is forgotten meanwhile."""

WITHOUT = (
    "a moment that needs {them} has no answer until {they} restored; "
    "`songline rebuild PROJECTION --until TIME --skip` builds a version without what is missing"
)
LONGEST_S = 900
"""A process that nobody waits for any more ends after so long."""


async def answer(question: Question, environ: Mapping[str, str]) -> Answer:
    """The answer to a question, from the history that the environment names."""
    try:
        async with (
            open_history(environ, keeps_listing=True) as opened,
            open_index(environ, opened) as index,
        ):
            matches = await matches_as_of(environ, question.second)
            match question:
                case ChartsQuestion(second, version):
                    await index.recall()
                    return await _charts(environ, opened, matches, second, version)
                case LibraryQuestion(second, user_id):
                    before = await read_keyed(environ)
                    if is_being_forgotten(user_id, before):
                        return FoldFailure(BEING_FORGOTTEN)
                    # Before the files' moments are asked for: else the ends of each would be read.
                    await index.update_all()
                    history = SpannedHistory(opened.with_names(matches, NOBODY_LEAVES))
                    found = await library_as_of(history, index.listener_history, matches, user_id, second)
                    # One that has begun since may have erased a part of it before that was read.
                    if erasures_of(user_id, await read_keyed(environ)) - erasures_of(user_id, before):
                        return FoldFailure(FORGOTTEN_MEANWHILE)
                    return found
    except MomentError as error:
        return MomentRefusal(error.rule)
    except ArchiveHoleError as error:
        return FoldFailure(f"{error.missing}; {WITHOUT.format(them='them', they='the files that are missing are')}")
    except DamagedFileError as error:
        return FoldFailure(f"{error.damage}; {WITHOUT.format(them='it', they='the file is')}")
    except (NoHistoryError, HistoryError, SettingError, DamagedVersionError) as error:
        return FoldFailure(str(error))
    except (AzureError, EventHubError) as error:
        return FoldFailure(f"the history can't be read: {last_line(error)}")


async def _charts(
    environ: Mapping[str, str], opened: HubHistory, matches: NameMatches, second: int, version: int
) -> Answer:
    """The charts as of a second, of a history in which every listener had one name an hour while it was read."""
    # A library waits for neither numpy nor the trending worker's code.
    from songline.processors.history.as_of.version_charts import version_charts_as_of

    names = NamesToCome(await read_keyed(environ))
    for _ in range(TRIES):
        history = SpannedHistory(opened.with_names(matches, names))
        found = await version_charts_as_of(environ, history, second, version, names)
        before, names = names, NamesToCome(await read_keyed(environ))
        if names.erasures <= before.erasures:
            return found
        opened.files.forget_listing()
    return FoldFailure(FORGOTTEN_MEANWHILE)


async def matches_as_of(environ: Mapping[str, str], second: int) -> NameMatches:
    """What names meant at a Unix second; nothing where the environment names no Cosmos DB. Raises AzureError."""
    if not (environ.get(COSMOS_CONNECTION) or environ.get(COSMOS_ENDPOINT)):
        return NO_MATCHES
    async with cosmos.opened(read_cosmos(environ)) as account:
        return (await read_matches(account)).as_of(second)


def main() -> None:
    """Answer the question on standard input. Settings come from the environment."""
    signal.alarm(LONGEST_S)
    log_to_stderr(logging.ERROR)
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    question = _questions.decode(sys.stdin.buffer.read())
    found = asyncio.run(answer(question, os.environ))
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.buffer.flush()


_questions: Decoder[Question] = Decoder(Question, "not-a-question")
