"""Management commands in child processes of the task worker, for work that takes minutes.

A child has its own memory, which is free again when it ends, and a low priority. It ends with the
worker, however that ends: the worker holds the other end of the child's standard input.

    python -m nexus.core.background.child train_recommender
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time

from procrastinate import RetryStrategy

# The highest niceness is 19: the child runs when nobody else wants the processor.
NICENESS = 15
# Between SIGTERM and SIGKILL.
STOP_TIMEOUT_S = 10.0
#: Retries of a command, whose work is worth another attempt only after a while.
COMMAND_RETRY = RetryStrategy(max_attempts=3, wait=600)


class CommandFailedError(Exception):
    """A management command has ended with an error, which is in the log."""


async def run_command(name: str, *arguments: str) -> None:
    """Run a management command in a child process. Raises CommandFailedError.

    If the caller is canceled, the command is stopped.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, name, *arguments, stdin=asyncio.subprocess.PIPE
    )
    try:
        status = await process.wait()
    finally:
        if process.returncode is None:
            await _stop(process)
    if status:
        raise CommandFailedError(f"{name} ended with status {status}. See the lines above.")


async def _stop(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def main() -> None:
    """Run the command of the arguments in this process, the child."""
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
    execute_from_command_line(["manage.py", *sys.argv[1:]])


def _end_with_parent() -> None:
    # Without a buffer, whose lock the interpreter would wait for at its end.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
