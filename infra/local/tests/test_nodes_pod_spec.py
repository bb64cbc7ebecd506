"""What a pod's spec says is resolved as the kubelet, and the Alluxio image's entry point, would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from world.alluxio import jvm
from world.nodes import images, pod_spec, volumes
from world.nodes.player import short_path
from world.nodes.pod_spec import Addresses, ConfigError

POD = {
    "metadata": {"name": "p", "namespace": "alluxio", "uid": "u", "labels": {"app": "alluxio"}},
    "spec": {"nodeName": "node-1", "serviceAccountName": "sa"},
}
ADDRESSES = Addresses(host="127.1.16.4", pod="127.1.16.4")


def environment(container: dict, **objects: dict[str, str]) -> dict[str, str]:
    return pod_spec.environment(container, POD, ADDRESSES, lambda kind, name: objects.get(name.replace("-", "_")))


def test_env_overrides_what_comes_from_a_config_map():
    container = {
        "envFrom": [{"configMapRef": {"name": "all"}, "prefix": "X_"}],
        "env": [{"name": "X_A", "value": "own"}],
    }
    assert environment(container, all={"A": "shared", "B": "b"}) == {"X_A": "own", "X_B": "b"}


def test_downward_fields_are_those_of_the_pod_and_its_node():
    fields = {
        "status.hostIP": "127.1.16.4",
        "spec.nodeName": "node-1",
        "metadata.namespace": "alluxio",
        "metadata.labels['app']": "alluxio",
    }
    for path, value in fields.items():
        container = {"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}]}
        assert environment(container) == {"V": value}


def test_a_missing_config_map_stops_the_container_unless_it_is_optional():
    container = {"envFrom": [{"configMapRef": {"name": "gone"}}]}
    with pytest.raises(ConfigError, match='configmap "gone" not found'):
        environment(container)
    container["envFrom"][0]["configMapRef"]["optional"] = True
    assert environment(container) == {}


def test_a_missing_key_stops_the_container():
    reference = {"configMapKeyRef": {"name": "all", "key": "K"}}
    with pytest.raises(ConfigError, match="couldn't find key K in configmap all"):
        environment({"env": [{"name": "V", "valueFrom": reference}]}, all={})


def test_kubernetes_references_are_replaced_if_known():
    container = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A) $(C) $$(A)"}]}
    assert environment(container)["B"] == "1 $(C) $(A)"


def test_container_paths_become_paths_of_this_machine_whole_components_only():
    mounts = {"/mnt/tier-1": Path("/w/a"), "/mnt/tier-10": Path("/w/b"), "/mnt": Path("/w")}
    text = "-Dpaths=/mnt/tier-1,/mnt/tier-10/x -Dother=/opt/mnt/tier-1 /mnt/z"
    assert pod_spec.map_paths(text, mounts) == "-Dpaths=/w/a,/w/b/x -Dother=/opt/mnt/tier-1 /w/z"


def test_a_container_runs_as_the_user_of_its_spec_else_of_its_image():
    shared = {"spec": {"securityContext": {"runAsUser": 7, "runAsGroup": 8, "fsGroup": 9}}}
    assert pod_spec.user({}, shared, 1000) == (7, 8, {9})
    assert pod_spec.user({"securityContext": {"runAsUser": 0}}, {"spec": {}}, 1000) == (0, 0, set())
    assert pod_spec.user({}, {"spec": {}}, 1000) == (1000, 1000, set())


def process(args: list[str], variables: dict[str, str], mounts: dict[str, Path] | None = None) -> images.AlluxioProcess:
    container = {"image": "alluxio/alluxio:2.9.5", "command": ["tini", "--", "/entrypoint.sh"], "args": args}
    explicit = {"ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH": "/t"}
    return images.alluxio_process(
        container, explicit | variables, mounts or {}, "127.1.16.4", Path("/home"), Path("/pod/etc-hosts")
    )


def test_the_entry_point_starts_what_its_first_argument_says():
    assert process(["worker-only", "--no-format"], {}).main == jvm.WORKER
    assert process(["job-worker"], {}).main == jvm.JOB_WORKER
    assert process(["master-only", "--no-format"], {}).main == jvm.MASTER
    assert process(["job-master"], {}).main == jvm.JOB_MASTER
    with pytest.raises(images.UsageError):
        process(["worker-only", "--format"], {})
    with pytest.raises(images.UsageError, match="empty the journal"):
        process(["master-only"], {})
    with pytest.raises(images.UsageError):
        process(["bash"], {})


def test_options_come_from_the_environment_with_shell_variables_and_mounts_resolved():
    made = process(
        ["worker-only", "--no-format"],
        {
            "HOST": "127.1.16.9",
            "ALLUXIO_JAVA_OPTS": "-Dalluxio.master.hostname=m",
            "ALLUXIO_WORKER_JAVA_OPTS": "-Xmx8g -Dalluxio.worker.hostname=${HOST} -Dtiers=/t/0,/t/1",
            "ALLUXIO_JOB_WORKER_JAVA_OPTS": "-Dnot.mine=1",
        },
        {"/t/0": Path("/disks/a"), "/t/1": Path("/disks/b")},
    )
    assert made.property("alluxio.master.hostname") == "m"
    assert made.property("alluxio.worker.hostname") == "127.1.16.9"
    assert made.property("tiers") == "/disks/a,/disks/b"
    assert made.property("not.mine") == ""
    assert made.dropped_flags == ("-Xmx8g",)


def test_each_process_takes_the_options_of_its_own_kind_and_those_of_all():
    variables = {"ALLUXIO_JAVA_OPTS": "-Da=all"}
    for kind in ("WORKER", "JOB_WORKER", "MASTER", "JOB_MASTER"):
        variables[f"ALLUXIO_{kind}_JAVA_OPTS"] = f"-Db={kind}"
    for words, kind in (
        (["worker-only", "--no-format"], "WORKER"),
        (["job-worker"], "JOB_WORKER"),
        (["master-only", "--no-format"], "MASTER"),
        (["job-master"], "JOB_MASTER"),
    ):
        made = process(words, variables)
        assert (made.property("a"), made.property("b")) == ("all", kind)


def test_a_process_listens_on_its_pod_s_address_alone_and_knows_only_the_names_in_its_file():
    made = process(["master-only", "--no-format"], {"ALLUXIO_MASTER_JAVA_OPTS": "-Dalluxio.master.bind.host=0.0.0.0"})
    for name in ("bind.host", "web.bind.host", "embedded.journal.ratis.config.raft.grpc.server.host"):
        assert made.property(f"alluxio.master.{name}") == "127.1.16.4"
    assert made.property("jdk.net.hosts.file") == "/pod/etc-hosts"


def test_a_directory_as_the_root_mount_keeps_no_owners_and_any_other_place_is_left_as_it_is():
    name = "alluxio.master.mount.table.root.ufs"
    for told, meant in (("/mnt/under-store", "directory:///world/ufs"), ("s3://bucket/a", "s3://bucket/a")):
        options = {"ALLUXIO_MASTER_JAVA_OPTS": f"-D{name}={told}"}
        made = process(["master-only", "--no-format"], options, {"/mnt/under-store": Path("/world/ufs")})
        assert made.property(name) == meant


def test_a_script_of_an_init_container_finds_its_volumes_and_the_command_line_tool(tmp_path):
    container = {"image": "alluxio/alluxio:2.9.5", "command": ["sh", "-c"]}
    container["args"] = ["test -e /journal/formatted || { alluxio formatJournal && touch /journal/formatted; }"]
    assert images.is_script(container)
    assert not images.is_script(container | {"image": "busybox:1"})
    assert not images.is_script(container | {"command": ["chown", "1:1", "/d"]})
    mounts = {"/journal": Path("/ebs/vol-1")}
    meant = "test -e /ebs/vol-1/formatted || { alluxio formatJournal && touch /ebs/vol-1/formatted; }"
    assert images.script(container, mounts) == ["sh", "-c", meant]
    tool = tmp_path / "alluxio"
    options = {"ALLUXIO_JAVA_OPTS": "-Xmx1g -Dalluxio.master.journal.folder=/journal/master"}
    runtime = jvm.Runtime((Path("/jars/a.jar"),), Path("/jars/own.jar"))
    tool.write_text(images.command_line_tool(options, mounts, "127.1.16.4", tmp_path, tmp_path / "etc-hosts", runtime))
    assert "-Dalluxio.master.journal.folder=/ebs/vol-1/master" in tool.read_text()
    assert "-Xmx1g" not in tool.read_text()
    done = subprocess.run(["sh", str(tool), "fsadmin"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "alluxio: fsadmin is not played\n")


def test_only_the_first_line_of_an_option_variable_reaches_the_process():
    variables = {"ALLUXIO_JAVA_OPTS": "-Da=1\n-Db=2"}
    made = process(["worker-only", "--no-format"], variables)
    assert (made.property("a"), made.property("b")) == ("1", "")
    assert images.lines_lost(variables) == ["ALLUXIO_JAVA_OPTS"]


def test_without_the_variable_that_names_its_tiers_a_worker_gets_a_ram_disk():
    options = {"ALLUXIO_WORKER_JAVA_OPTS": "-Dalluxio.worker.tieredstore.level0.dirs.path=/disk"}
    name = "alluxio.worker.tieredstore.level0.dirs.path"
    assert process(["worker-only", "--no-format"], options).property(name) == "/disk"
    unset = options | {"ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH": ""}
    assert process(["worker-only", "--no-format"], unset).property(name) == "/home/dev-shm"


def test_a_worker_without_no_format_empties_its_tiers_at_each_start():
    options = {"ALLUXIO_WORKER_JAVA_OPTS": "-Dalluxio.worker.tieredstore.level0.dirs.path=/a,/b"}
    assert process(["worker-only"], options).format_directories == (Path("/a/alluxioworker"), Path("/b/alluxioworker"))
    assert process(["worker-only", "--no-format"], options).format_directories == ()


@pytest.mark.parametrize(
    ("image", "known"),
    [("alluxio/alluxio:2.9.5", True), ("docker.io/alluxio/alluxio@sha256:1", True), ("registry/alluxio/alluxio-dev:1", True),
     ("example/not-alluxio:1", False), ("alluxio/alluxiofs:1", False)],
)  # fmt: skip
def test_alluxio_images_are_known_by_name(image, known):
    assert images.is_alluxio(image) is known


def test_a_domain_socket_gets_a_path_that_is_short_enough_and_leads_to_the_same_place():
    option = "-Dalluxio.worker.data.server.domain.socket.address=/opt/domain -Dx=/opt/domain"
    nodes, link = Path("/a/long/way/nodes"), Path("/tmp/short")
    mounts = {"/opt/domain": nodes / "i-1/var/lib/alluxio/domain"}
    found = process(["worker-only", "--no-format"], {"ALLUXIO_WORKER_JAVA_OPTS": option}, mounts)
    found = images.with_short_socket_path(found, nodes, link)
    name = "alluxio.worker.data.server.domain.socket.address"
    assert found.property(name) == "/tmp/short/i-1/var/lib/alluxio/domain"
    assert found.property("x") == "/a/long/way/nodes/i-1/var/lib/alluxio/domain"
    longest = short_path("127.249.0.0/16") / "i-0123456789abcdef0/var/lib/alluxio/domain" / ("u" * 36)
    assert len(str(longest)) <= 107


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_an_init_container_that_gives_a_directory_to_the_image_s_user_is_played(tmp_path):
    mounts = {"/opt/domain": tmp_path}
    assert volumes.play_chown({"command": ["chown", "1000:1001", "/opt/domain", "/not/mounted"]}, mounts)
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_gid) == (1000, 1001)


def test_an_init_container_that_does_anything_else_is_left_alone(tmp_path):
    for command in ([], ["sh", "-c", "chown 1000:1000 /d"], ["chown", "alluxio", "/d"], ["chown", "1:1"]):
        assert not volumes.play_chown({"command": command}, {"/d": tmp_path})
    assert tmp_path.stat().st_uid == os.geteuid()
