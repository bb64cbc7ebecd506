"""Starts processes that the kernel ends when this one ends, however it ends.

PR_SET_PDEATHSIG fires when the *thread* that started the process ends, so one thread that lives as
long as the service starts them all.
"""

from __future__ import annotations

import ctypes
import queue
import shutil
import signal
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Spawner:
    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Future, list[str], dict[str, str], Path] | None] = (
            queue.Queue()
        )
        # util-linux's setpriv sets the signal and execs: no Python code runs between fork and exec,
        # and the large address space of this process is not copied (vfork).
        self._setpriv = shutil.which("setpriv")
        self._thread = threading.Thread(target=self._run, name="spawner", daemon=True)
        self._thread.start()

    def spawn(
        self, command: list[str], environment: dict[str, str], directory: Path
    ) -> subprocess.Popen:
        future: Future = Future()
        self._queue.put((future, command, environment, directory))
        return future.result()

    def stop(self) -> None:
        """To be called when nothing spawned is alive any more."""
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            future, command, environment, directory = item
            try:
                future.set_result(self._start(command, environment, directory))
            except BaseException as error:
                future.set_exception(error)

    def _start(
        self, command: list[str], environment: dict[str, str], directory: Path
    ) -> subprocess.Popen:
        prefix = [self._setpriv, "--pdeathsig", "KILL", "--"] if self._setpriv else []
        return subprocess.Popen(
            [*prefix, *command],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A Ctrl-C at the terminal is for the world's supervisor, not for functions.
            start_new_session=True,
            preexec_fn=None if self._setpriv else _die_with_parent,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
