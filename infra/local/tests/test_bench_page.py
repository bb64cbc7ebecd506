"""The page that the benchmark writes, the aims that it judges, and what it puts into the cluster."""

from __future__ import annotations

import io
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from bench import aims, cold_starts, fake_nodes, rendering
from bench_support import cost, results
from world.paths import CHECKOUT

HELLO = CHECKOUT / "infra" / "local" / "bench" / "hello-world"


def verdict(text: str, given: dict) -> aims.Aim:
    found, *_ = [aim for aim in aims.aims(given) if text in aim.text]
    return found


def test_all_aims_are_met_by_numbers_that_meet_them():
    assert [aim.text for aim in aims.aims(results()) if not aim.met] == []


@pytest.mark.parametrize(
    ("text", "spoil"),
    [
        ("own share of a join, cold", lambda r: r["cold"].update(join=cost(ownSeconds=3.0))),
        ("own share of a join, warm", lambda r: r["sizes"]["1"].update(join=cost(ownSeconds=4.0))),
        ("calls of a drain", lambda r: r["sizes"]["50"]["drain"]["calls"][-1].update(questions=10)),
        ("under store of 1.7 MB/s", lambda r: r["slowStore"].update(ratio=1.6)),
        ("Cold start", lambda r: r["coldStarts"]["label-node"].update(ratio=1.6)),
        ("the slowest answer", lambda r: r["choosing"].update(coldSeconds=1.01)),
        ("nodes and 10,000 volumes", lambda r: r["drift"].update(elapsedMillis=10_001)),
        ("Largest deployment package", lambda r: r["zips"]["label-node"].update(zip=5_000_001)),
        ("volumes: peak memory", lambda r: r["drift"].update(peakKiB=129 * 1024)),
        ("Peak memory", lambda r: r["memory"]["label-node"].update(peak=128 * 2**20)),
    ],
)
def test_an_aim_is_missed_by_what_goes_beyond_it(text: str, spoil):
    given = results()
    spoil(given)
    assert not verdict(text, given).met


@pytest.mark.parametrize(("service", "count"), [("kubernetes", 16), ("aws", 7)])
def test_a_call_too_many_misses_the_aim_also_with_cold_functions_only(service: str, count: int):
    given = results()
    given["quiet"]["cold"]["calls"][-1][service] = count
    name = "AWS" if service == "aws" else "Kubernetes"
    assert not verdict(f"{name} calls of a join in which nothing has to be waited for, cold", given).met
    assert verdict(f"{name} calls of a join in which nothing has to be waited for, warm", given).met


def test_hello_world_itself_is_no_function_of_ours():
    given = results()
    given["coldStarts"]["hello-world"]["ratio"] = 9.0
    given["zips"]["hello-world"]["zip"] = 9_000_000
    assert all(aim.met for aim in aims.aims(given))


def test_a_missed_aim_is_told_as_one():
    given = results()
    given["zips"]["label-node"]["zip"] = 6_000_000
    page = rendering.page(given)
    assert "| Largest deployment package | at most 5 MB | 6.0 MB | **missed** |" in page
    assert page.count("**missed**") == 1


def test_the_page_tells_how_to_measure_again_and_of_which_machine_its_seconds_are():
    page = rendering.page(results())
    assert "`make bench`" in page
    assert "2 cores (A processor, 16 GiB)" in page


def test_all_rows_of_a_table_have_as_many_cells_as_its_head():
    page = rendering.page(results())
    for block in re.findall(r"(?:^\|.*\|$\n)+", page, re.MULTILINE):
        widths = {line.count("|") for line in block.splitlines()}
        assert len(widths) == 1, block


def test_paths_in_the_page_exist():
    for target in re.findall(r"\]\(([^)]+)\)", rendering.page(results())):
        assert (CHECKOUT / "docs" / target).exists(), target


def test_fake_nodes_are_of_the_measured_type_in_all_zones_and_joined():
    things = fake_nodes.cluster_of(0, 49)
    nodes = [thing for thing in things if thing["kind"] == "Node"]
    labels = [node["metadata"]["labels"] for node in nodes]
    assert len({node["metadata"]["name"] for node in nodes}) == 49
    assert len({one["tidegate.dev/instance-id"] for one in labels}) == 49
    assert {one["node.kubernetes.io/instance-type"] for one in labels} == {fake_nodes.INSTANCE_TYPE}
    assert len({one["topology.kubernetes.io/zone"] for one in labels}) == 3
    assert all(re.fullmatch(r"i-[0-9a-f]{17}", one["tidegate.dev/instance-id"]) for one in labels)


def test_each_fake_node_has_its_volumes():
    things = fake_nodes.cluster_of(3, 5)
    volumes = [thing["metadata"]["labels"]["tidegate.dev/instance-id"] for thing in things if thing["kind"] == "PersistentVolume"]
    assert volumes == [fake_nodes.instance_id(3)] * 2 + [fake_nodes.instance_id(4)] * 2


def test_hello_world_is_built_as_the_functions_are():
    own, ours = (tomllib.loads((path / "Cargo.toml").read_text()) for path in (HELLO, CHECKOUT))
    profile = {key: value for key, value in ours["profile"]["release"].items() if key != "package"}
    assert own["profile"]["release"] == profile


@pytest.mark.parametrize("crate", ["lambda_runtime", "tokio", "hyper", "serde_json"])
def test_hello_world_runs_on_the_same_versions(crate: str):
    own, ours = (versions(path / "Cargo.lock", crate) for path in (HELLO, CHECKOUT))
    assert own
    assert own <= ours


def versions(lock: Path, crate: str) -> set[str]:
    return {package["version"] for package in tomllib.loads(lock.read_text())["package"] if package["name"] == crate}


def test_a_package_holds_the_bootstrap_and_may_be_run(tmp_path: Path):
    binary = tmp_path / "anything"
    binary.write_bytes(b"x" * 1000)
    packed = cold_starts.zipped(binary)
    assert len(packed) < 1000
    (entry,) = zipfile.ZipFile(io.BytesIO(packed)).infolist()
    assert (entry.filename, entry.external_attr >> 16, entry.file_size) == ("bootstrap", 0o755, 1000)
