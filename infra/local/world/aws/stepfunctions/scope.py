"""What can be waited for can be stopped: a tree of scopes, one for each execution and branch."""

from __future__ import annotations

import threading


class Scope:
    def __init__(self, parent: Scope | None = None):
        self._lock = threading.Lock()
        self._reason: BaseException | None = None
        self._waiters: set[threading.Event] = set()
        self._children: set[Scope] = set()
        self._parent = parent
        if parent is not None:
            parent._adopt(self)

    def _adopt(self, child: Scope) -> None:
        with self._lock:
            self._children.add(child)
            reason = self._reason
        if reason is not None:
            child.cancel(reason)

    def close(self) -> None:
        if self._parent is not None:
            with self._parent._lock:
                self._parent._children.discard(self)

    def cancel(self, reason: BaseException) -> None:
        """Wakes everything that waits in this scope and below; it raises the reason. Once."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            children, waiters = list(self._children), list(self._waiters)
        for waiter in waiters:
            waiter.set()
        for child in children:
            child.cancel(reason)

    def check(self) -> None:
        if self._reason is not None:
            raise self._reason

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Waits for the event. False when the seconds are over first; raises when cancelled."""
        with self._lock:
            self._waiters.add(event)
            already = self._reason is not None
        try:
            happened = True if already else event.wait(seconds)
        finally:
            with self._lock:
                self._waiters.discard(event)
        self.check()
        return happened

    def pause(self, seconds: float) -> None:
        self.wait(threading.Event(), seconds)
