"""How a run of the demo begins, ends and fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from demo import __main__ as demo
from demo import observers, stage
from demo.events import Event, Source
from demo.seen import NotSeen, Seen
from demo.timeline import Style
from demo_support import record
from world.paths import Paths


class World:
    """Plays `python -m world`: notes each command, and ends with the status that it is given."""

    def __init__(self, directory: Path, **statuses: int):
        self._log, self._statuses = directory / "commands", {"status": 1} | statuses
        self.paths = Paths(directory)
        self.paths.endpoints.write_text(json.dumps({"aws": "http://127.0.0.1:1"}))

    def command(self, name: str) -> list[str]:
        return ["sh", "-c", f"echo {name} >> {self._log}; exit {self._statuses.get(name, 0)}"]

    def commands(self) -> list[str]:
        return self._log.read_text().split()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def start(**statuses: int) -> World:
        world = World(tmp_path, **statuses)
        monkeypatch.setattr(stage, "_world", world.command)
        return world

    return start


def test_the_world_is_started_and_ended(play):
    async def run(world: World) -> dict:
        async with stage.Stage(world.paths) as endpoints:
            return endpoints

    world = play()
    assert asyncio.run(run(world)) == {"aws": "http://127.0.0.1:1"}
    assert world.commands() == ["status", "up", "down"]


def test_a_world_that_somebody_plays_with_is_left_alone(play):
    async def run(world: World) -> None:
        async with stage.Stage(world.paths):
            pass

    world = play(status=0)
    with pytest.raises(stage.WorldIsUp):
        asyncio.run(run(world))
    assert world.commands() == ["status"]


def test_a_world_that_did_not_start_is_ended_all_the_same(play):
    async def run(world: World) -> None:
        async with stage.Stage(world.paths):
            pass

    world = play(up=1)
    with pytest.raises(stage.WorldDidNotStart):
        asyncio.run(run(world))
    assert world.commands() == ["status", "up", "down"]


def test_a_story_that_breaks_leaves_no_world_behind(play):
    async def run(world: World) -> None:
        async with stage.Stage(world.paths):
            raise RuntimeError("broken")

    world = play()
    with pytest.raises(RuntimeError):
        asyncio.run(run(world))
    assert world.commands()[-1] == "down"


def invocation(function: str) -> str:
    call = {"function": function, "cold": True, "initMillis": 4.0, "durationMillis": 9.0, "peakMemoryKb": 9000, "memorySizeMb": 128}
    return json.dumps(call | {"outcome": "success"}) + "\n"


def test_a_run_after_one_that_was_cut_off_tells_of_its_own_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    invocations = tmp_path / "lambda-invocations.jsonl"
    invocations.write_text(invocation("of-the-run-before")[:-20])
    told = {}

    async def play(*_: object) -> None:
        # The new world has forgotten the file, and has written its own: a line more, and one that is not whole yet.
        invocations.write_text(2 * invocation("of-this-run") + invocation("of-this-run")[:30])

    monkeypatch.setattr(stage, "_world", World(tmp_path).command)
    monkeypatch.setattr(demo, "world_directory", lambda: tmp_path)
    monkeypatch.setattr(demo, "_play", play)
    monkeypatch.setattr(demo, "_judge", lambda record, *_: told.update({use.function: use.calls for use in record.functions}) or 0)
    assert asyncio.run(demo._demo(tmp_path / "report.html", False)) == 0
    assert told == {"of-this-run": 2}


@pytest.mark.parametrize(("seen", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_is_0_only_if_all_that_was_claimed_was_seen(seen: bool, status: int, tmp_path: Path, capsys):
    target = tmp_path / "dist" / "report.html"
    assert demo._judge(record(seen), Style(False), target) == status
    assert target.read_text().startswith("<!doctype html>")
    *_, path, summary = capsys.readouterr().out.splitlines()
    assert path == f"report: {target}"
    assert summary == ("all 3 claims were seen" if seen else "2 of 3 claims were seen, 1 were NOT")


def test_waiting_ends_as_soon_as_something_is_seen_and_fails_with_what_was_not():
    async def run() -> None:
        seen = Seen(lambda event: None)
        event = Event(1.0, Source.EC2, "ec2/running", "it runs")
        asyncio.get_running_loop().call_later(0.01, seen.add, event)
        await seen.until("it runs", 30, lambda: seen.when("ec2/running") is not None)
        with pytest.raises(NotSeen, match="it sleeps"):
            await seen.until("it sleeps", 0.01, lambda: False)

    asyncio.run(run())


def test_lines_that_are_written_in_pieces_are_read_whole_and_older_ones_not(tmp_path: Path):
    async def run() -> list[str]:
        path = tmp_path / "events.jsonl"
        path.write_text('{"old": 1}\n')
        begin = path.stat().st_size
        with path.open("a", buffering=1) as file:
            file.write('{"a": ')
            file.flush()
            lines = observers._appended(path, begin)
            first = asyncio.ensure_future(anext(lines))
            await asyncio.sleep(0.05)
            file.write('1}\n{"b": 2}\n')
            file.flush()
            return [await first, await anext(lines)]

    assert asyncio.run(run()) == ['{"a": 1}', '{"b": 2}']
