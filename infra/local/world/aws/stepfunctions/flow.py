"""Parallel and Map: several walks at once. One that fails stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import interpreter
from .errors import BranchStopped, StateError
from .scope import Scope

if TYPE_CHECKING:
    from .interpreter import Walk

# https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
MOST_INLINE_ITERATIONS = 40


def attempt_parallel(walk: Walk, state: dict[str, Any], given: Any) -> Any:
    states = interpreter.states_of(walk, given)
    value = (
        interpreter.fill(walk, state["Arguments"], states, "Arguments")
        if "Arguments" in state
        else given
    )
    walk.trail.add("ParallelStateStarted")
    bodies = [
        lambda scope, branch=branch: interpreter.run_program(walk.branch(scope), branch, value)
        for branch in state["Branches"]
    ]
    try:
        results = together(walk, bodies, len(bodies))
    except StateError:
        walk.trail.add("ParallelStateFailed")
        raise
    walk.trail.add("ParallelStateSucceeded")
    return results


def attempt_map(walk: Walk, state: dict[str, Any], given: Any) -> Any:
    states = interpreter.states_of(walk, given)
    items = interpreter.fill(walk, state["Items"], states, "Items") if "Items" in state else given
    if isinstance(items, dict):
        items = [{"Key": key, "Value": value} for key, value in items.items()]
    interpreter.typed(walk, items, "array", state.get("Items", "$states.input"), "Items")
    most = interpreter.fill(walk, state.get("MaxConcurrency", 0), states, "MaxConcurrency")
    walk.trail.add("MapStateStarted", {"mapStateStartedEventDetails": {"length": len(items)}})
    name = walk.context["State"]["Name"]

    def iteration(index: int, item: Any) -> Callable[[Scope], Any]:
        def run(scope: Scope) -> Any:
            inner = walk.branch(scope, Map={"Item": {"Index": index, "Value": item}})
            details = {"name": name, "index": index}
            inner.trail.add("MapIterationStarted", {"mapIterationStartedEventDetails": details})
            value = item
            if "ItemSelector" in state:
                chosen = interpreter.states_of(inner, given)
                value = interpreter.fill(inner, state["ItemSelector"], chosen, "ItemSelector")
            try:
                output = interpreter.run_program(inner, state["ItemProcessor"], value)
            except StateError:
                inner.trail.add("MapIterationFailed", {"mapIterationFailedEventDetails": details})
                raise
            inner.trail.add("MapIterationSucceeded", {"mapIterationSucceededEventDetails": details})
            return output

        return run

    bodies = [iteration(index, item) for index, item in enumerate(items)]
    try:
        results = together(walk, bodies, int(most) or MOST_INLINE_ITERATIONS)
    except StateError:
        walk.trail.add("MapStateFailed")
        raise
    walk.trail.add("MapStateSucceeded")
    return results


def together(walk: Walk, bodies: list[Callable[[Scope], Any]], most: int) -> list[Any]:
    """Runs the bodies in threads, at most so many at once; the results in their order.

    The first error stops what still runs and is raised.
    """
    scope = Scope(walk.scope)
    finished = threading.Event()
    lock = threading.Lock()
    results: list[Any] = [None] * len(bodies)
    failures: list[BaseException] = []
    waiting = list(range(len(bodies)))
    left = len(bodies)

    def work() -> None:
        nonlocal left
        while True:
            with lock:
                if not waiting or failures:
                    return
                index = waiting.pop(0)
            try:
                results[index] = bodies[index](scope)
            except BaseException as error:
                with lock:
                    failures.append(error)
                finished.set()
                return
            with lock:
                left -= 1
                if left == 0:
                    finished.set()

    try:
        if bodies:
            for _ in range(min(most, len(bodies))):
                threading.Thread(target=work, name="branch", daemon=True).start()
            walk.scope.wait(finished)
        if failures:
            raise failures[0]
        return results
    finally:
        scope.cancel(BranchStopped())
        scope.close()
