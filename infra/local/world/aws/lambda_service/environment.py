"""One execution environment: a process of a function, warm between invocations, then frozen."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .invocation import Invocation, error_payload
from .runtime_api import RuntimeApi
from .spawn import Spawner

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html: init phase, 10 s.
INIT_SECONDS = 10.0
# A runtime asks for the next invocation within a millisecond of its answer; one that does not is
# busy with something after it, and its log lines then come late.
SETTLE_SECONDS = 0.1


@dataclass(frozen=True)
class Deployed:
    """A function as deployed at one moment; another revision means other processes."""

    name: str
    arn: str
    role_arn: str
    handler: str
    timeout: float
    memory_mb: int
    variables: tuple[tuple[str, str], ...]
    task_root: Path
    log_group: str
    log_format: str
    """Of the platform's own lines: Text or JSON."""


class Environment:
    def __init__(
        self,
        function: Deployed,
        variables: dict[str, str],
        spawner: Spawner,
        line: Callable[[str], None],
    ):
        """Starts the process. `line` gets each line that it prints."""
        self.function = function
        self.function_arn = function.arn
        self.idle_since = 0.0
        self.init_millis: float | None = None
        self.init_error: bytes | None = None
        self.line = line
        self.printed: list[str] = []
        self._killed = False
        self._lock = threading.Lock()
        self._queue: queue.Queue[Invocation | None] = queue.Queue()
        self._current: Invocation | None = None
        self._frozen = False
        self._dead = threading.Event()
        self._asked_again = threading.Event()
        self._spawned = threading.Event()
        self._ready = threading.Event()
        self._api = RuntimeApi(self)
        started = time.monotonic()
        self._started = started
        self.process: subprocess.Popen = spawner.spawn(
            [str(function.task_root / "bootstrap")],
            variables | {"AWS_LAMBDA_RUNTIME_API": self._api.address},
            function.task_root,
        )
        self._spawned.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return not self._killed and not self._dead.is_set()

    # what the runtime API asks

    def next_invocation(self) -> Invocation | None:
        # A compiled bootstrap asks before its spawner has even been told that it runs.
        self._spawned.wait()
        if not self._ready.is_set():
            self.init_millis = (time.monotonic() - self._started) * 1000
            self._ready.set()
        with self._lock:
            self._current = None
            self._asked_again.set()
            if self._queue.empty() and not self._dead.is_set():
                # Between invocations an environment does not run, as on AWS: no timer fires, no
                # background task goes on, connections grow old.
                self._signal(signal.SIGSTOP)
                self._frozen = True
        invocation = self._queue.get()
        if invocation is not None:
            self._current = invocation
        return invocation

    def current(self, request_id: str) -> Invocation | None:
        invocation = self._current
        return invocation if invocation and invocation.request_id == request_id else None

    def init_failed(self, payload: bytes) -> None:
        self.init_error = payload
        self._ready.set()

    # what the service asks

    def run(self, invocation: Invocation, on_begin: Callable[[], None] | None = None) -> None:
        """Runs an invocation to its end; `invocation.answer` says how it went."""
        if not self._await_init(invocation):
            return
        invocation.begin()
        self.printed.clear()
        self._asked_again.clear()
        with self._lock:
            self._queue.put(invocation)
            if self._frozen:
                self._frozen = False
                self._signal(signal.SIGCONT)
        if self._dead.is_set():
            self._explain_death(invocation)
        if on_begin is not None:
            on_begin()
        if not invocation.finished.wait(invocation.timeout):
            self.kill()
            invocation.fail(
                error_payload(
                    "Sandbox.Timedout",
                    f"RequestId: {invocation.request_id} Error: Task timed out after "
                    f"{invocation.timeout:.2f} seconds",
                )
            )

    def _await_init(self, invocation: Invocation) -> bool:
        self._ready.wait(INIT_SECONDS)
        if self.init_error is not None:
            self.kill()
            invocation.fail(self.init_error)
            return False
        if self._dead.is_set():
            self._explain_death(invocation)
            return False
        if not self._ready.is_set():
            self.kill()
            invocation.crash("Sandbox.Timedout", f"Task timed out after {INIT_SECONDS:.2f} seconds")
            return False
        return True

    def settle(self) -> None:
        """Waits, not long, until the process has asked for more and all that it printed is read."""
        self._asked_again.wait(SETTLE_SECONDS)
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._unread() and time.monotonic() < deadline:
            time.sleep(0.001)

    def _unread(self) -> bool:
        assert self.process.stdout is not None
        try:
            count = fcntl.ioctl(self.process.stdout.fileno(), termios.FIONREAD, b"\0\0\0\0")
        except (OSError, ValueError):
            return False
        return int.from_bytes(count, sys.byteorder) > 0

    def peak_memory_kb(self) -> int | None:
        """VmHWM of the process, or None when it is gone."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return None

    def kill(self) -> None:
        self._killed = True
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self.kill()
        self._dead.wait(5)

    def _signal(self, number: int) -> None:
        # Once it has been waited for, its number may be another's.
        if self.process.returncode is None:
            try:
                os.kill(self.process.pid, number)
            except ProcessLookupError:
                pass

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            text = raw.decode(errors="replace").rstrip("\n")
            self.printed.append(text)
            self.line(text)
        self.process.wait()
        self._dead.set()
        self._ready.set()
        self._asked_again.set()
        invocation = self._current
        if invocation is not None:
            self._explain_death(invocation)
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                self._explain_death(waiting)
        self._queue.put(None)
        self._api.stop()

    def _explain_death(self, invocation: Invocation) -> None:
        code = self.process.poll()
        if code is None:
            what = "Runtime exited without providing a reason"
        elif code < 0:
            name = signal.strsignal(-code) or str(-code)
            what = f"Runtime exited with error: signal: {name.lower()}"
        elif code == 0:
            what = "Runtime exited without providing a reason"
        else:
            what = f"Runtime exited with error: exit status {code}"
        invocation.crash("Runtime.ExitError", what)
