"""The end of a command: its exit code, also when a standard stream is closed or can't be written.

0 done · 1 some of it was refused · 2 wrong usage or settings · 3 a service can't be reached · 74 the output can't be
written · 130 Ctrl-C · 143 SIGTERM. A pipe that its reader closed is no error.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from songline.cloud.extras import MissingExtraError
from songline.sending.exits import ExitCode


def run(command: Callable[[], object]) -> NoReturn:
    """Run a click command (not in its standalone mode), and exit with its code."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal can't encode is replaced. JSON is written as bytes.
            stream.reconfigure(errors="replace")
    with _terminated() as is_terminated:
        code = _run(command)
        if code == ExitCode.INTERRUPTED and is_terminated():
            code = ExitCode.TERMINATED
    raise SystemExit(_written(code))


def _open_standard_streams() -> None:
    """Open the null device in place of each standard stream that is closed (`>&-`), so that no file gets its number."""
    if sys.stdin is None:
        sys.stdin = _null_stream(0, os.O_RDONLY, "r")
    if sys.stdout is None:
        sys.stdout = _null_stream(1, os.O_WRONLY, "w")
    if sys.stderr is None:
        sys.stderr = _null_stream(2, os.O_WRONLY, "w")


def _null_stream(number: int, flags: int, mode: str) -> io.TextIOWrapper:
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    made = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (it is for the life of the process)
    assert isinstance(made, io.TextIOWrapper)
    return made


def _run(command: Callable[[], object]) -> int:
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except click.Abort as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _say("Interrupted.", ExitCode.INTERRUPTED)
        return _say("Aborted!", ExitCode.REFUSED)
    except KeyboardInterrupt:
        return _say("Interrupted.", ExitCode.INTERRUPTED)
    except SystemExit as end:
        # click and rich raise this when the reader of a pipe has closed it.
        if _is_broken_pipe(end):
            return 0
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        return _say(str(end.code), ExitCode.REFUSED)
    except UnicodeEncodeError as error:
        seen = error.object[max(0, error.start - 20) : error.end].encode("ascii", "backslashreplace").decode()
        return _say(f"Error: an argument is no text: saw {seen!r}, expected UTF-8.", ExitCode.USAGE)
    except MissingExtraError as error:
        return _say(f"Error: {error}", ExitCode.USAGE)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return 0
        if error.filename is not None:
            return _say(f"Error: {error.filename}: {error.strerror}", ExitCode.USAGE)
        return _unwritten(error)


def _written(code: int) -> int:
    """Flush standard output and return the exit code: `code`, or OUTPUT when a successful command can't be written."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        # The interpreter flushes once more at its end, and would print a traceback.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code or isinstance(error, BrokenPipeError):
            return code
        return _unwritten(error)
    return code


def _unwritten(error: Exception) -> int:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return _say(f"Error: the output can't be written: {why}", ExitCode.OUTPUT)


def _say(text: str, code: int) -> int:
    with suppress(OSError):
        click.echo(text, err=True)
    return int(code)


def _is_broken_pipe(end: BaseException) -> bool:
    error = end.__context__
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__context__
    return False


@contextmanager
def _terminated() -> Iterator[Callable[[], bool]]:
    """Make SIGTERM interrupt as Ctrl-C does, so that cleanup runs. Yields a function: whether SIGTERM came."""
    came = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal came
        came = True
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: came
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, before)
