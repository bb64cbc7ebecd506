"""The least that a cluster needs for the nodes' tests. What is deployed is infra/kubernetes; these are of the same shape."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

PROVISIONER = {"name": "local-volume-provisioner", "namespace": "kube-system"}
WORKER_LABEL = "tidegate.dev/alluxio-worker"


def provisioner(reclaim_policy: str = "Delete") -> list[Object]:
    labels = {"app": "local-volume-provisioner"}
    rules = [
        {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get", "list", "watch", "create", "delete"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
    ]
    authorization = "rbac.authorization.k8s.io"
    container = {
        "name": "provisioner",
        "image": "registry.k8s.io/sig-storage/local-volume-provisioner:v2.9.0",
        "env": [{"name": "MY_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/provisioner/config"},
            {"name": "disks", "mountPath": "/mnt/fast-disks"},
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": PROVISIONER},
        {"apiVersion": f"{authorization}/v1", "kind": "ClusterRole", "metadata": {"name": "provisioner"}, "rules": rules},
        {
            "apiVersion": f"{authorization}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "provisioner"},
            "roleRef": {"apiGroup": authorization, "kind": "ClusterRole", "name": "provisioner"},
            "subjects": [{"kind": "ServiceAccount", **PROVISIONER}],
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "fast-disks"},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": reclaim_policy,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "provisioner-config", "namespace": "kube-system"},
            "data": {
                "storageClassMap": "fast-disks: {hostDir: /mnt/fast-disks, mountDir: /mnt/fast-disks, fsType: ext4}",
                "nodeLabelsForPV": "[tidegate.dev/instance-id, topology.kubernetes.io/zone]",
                "setPVOwnerRef": "true",
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": PROVISIONER,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": PROVISIONER["name"],
                        "nodeSelector": {"fast-disk-node": "pv-nvme"},
                        "tolerations": [{"operator": "Exists"}],
                        "containers": [container],
                        "volumes": [
                            {"name": "config", "configMap": {"name": "provisioner-config"}},
                            {"name": "disks", "hostPath": {"path": "/mnt/fast-disks"}},
                        ],
                    },
                },
            },
        },
    ]


def alluxio_worker(master: str) -> list[Object]:
    tiers = "/mnt/alluxio/tier-0,/mnt/alluxio/tier-1"
    level = "alluxio.worker.tieredstore.level0"
    options = {
        "ALLUXIO_JAVA_OPTS": f"-Dalluxio.master.hostname={master} -Dalluxio.job.master.hostname={master} "
        "-Dalluxio.worker.data.server.domain.socket.as.uuid=true",
        "ALLUXIO_WORKER_JAVA_OPTS": "-Xmx8g -Dalluxio.worker.hostname=${NODE} -Dalluxio.worker.tieredstore.levels=1 "
        "-Dalluxio.worker.data.server.domain.socket.address=/opt/domain "
        f"-D{level}.alias=SSD -D{level}.dirs.mediumtype=SSD,SSD -D{level}.dirs.path={tiers} -D{level}.dirs.quota=246GB,246GB",
        "ALLUXIO_JOB_WORKER_JAVA_OPTS": "-Dalluxio.job.worker.hostname=${NODE} -Dalluxio.worker.hostname=${NODE}",
        "ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH": tiers,
    }
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast-disks"}
    claim |= {"resources": {"requests": {"storage": "270Gi"}}}
    names = ["tier-0", "tier-1"]
    sockets = {"name": "sockets", "mountPath": "/opt/domain"}
    owner = {"name": "owner", "image": "alluxio/alluxio:2.9.5", "command": ["chown", "1000:1000", "/opt/domain"]}
    host_path = {"path": "/var/lib/alluxio/domain", "type": "DirectoryOrCreate"}

    def container(name: str, port: int, arguments: list[str]) -> Object:
        return {
            "name": name,
            "image": "alluxio/alluxio:2.9.5",
            "args": arguments,
            "envFrom": [{"configMapRef": {"name": "alluxio"}}],
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
            "ports": [{"name": f"p{port}", "containerPort": port}],
            "readinessProbe": {"tcpSocket": {"port": f"p{port}"}, "periodSeconds": 1},
            "volumeMounts": [sockets, *({"name": tier, "mountPath": f"/mnt/alluxio/{tier}"} for tier in names)],
        }

    labels = {"app": "alluxio"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alluxio"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "alluxio", "namespace": "alluxio"}, "data": options},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "alluxio-worker", "namespace": "alluxio"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "hostNetwork": True,
                        "nodeSelector": {WORKER_LABEL: "2x300g"},
                        "tolerations": [{"operator": "Exists"}],
                        "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
                        "initContainers": [owner | {"volumeMounts": [sockets]}],
                        "containers": [
                            container("alluxio-worker", 29999, ["worker-only", "--no-format"]),
                            container("alluxio-job-worker", 30001, ["job-worker"]),
                        ],
                        "volumes": [
                            {"name": "sockets", "hostPath": host_path},
                            *({"name": tier, "ephemeral": {"volumeClaimTemplate": {"spec": claim}}} for tier in names),
                        ],
                    },
                },
            },
        },
    ]


def plain_pod(name: str, node: str, **annotations: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": "apache/spark:3.5.3"}],
        },
    }
