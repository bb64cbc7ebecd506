"""What a kubelet on EKS says about its node when it registers, and what the cloud controller adds. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .instances import Instance

Object = dict[str, Any]

KUBELET_PORT = 10250

UNINITIALIZED_TAINT = "node.cloudprovider.kubernetes.io/uninitialized"

# Set by the node group's configuration when the node registers, taken away when its cache is ready.
STARTUP_TAINT = {
    "key": "startup-taint.cluster-autoscaler.kubernetes.io/tidegate",
    "value": "joining",
    "effect": "NoSchedule",
}

# How the Cluster Autoscaler is told about a group of size 0, and so how a group says what its nodes will carry.
_LABEL_TAG = "k8s.io/cluster-autoscaler/node-template/label/"
_TAINT_TAG = "k8s.io/cluster-autoscaler/node-template/taint/"
_NODE_GROUP_TAG = "eks:nodegroup-name"

_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def registration(instance: Instance, instance_type: Object, kubelet_version: str) -> Object:
    """The Node that the kubelet creates: not ready yet, its cloud labels still to come."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": instance.private_dns_name,
            "labels": kubelet_labels(instance, instance_type),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"providerID": instance.provider_id, "taints": registration_taints(instance)},
        "status": {
            "addresses": addresses(instance),
            **resources(instance_type),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": node_info(instance, instance_type, kubelet_version),
            "conditions": conditions(ready=False, healthy_since=now(), ready_since=now()),
        },
    }


def kubelet_labels(instance: Instance, instance_type: Object) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": instance.private_dns_name,
        "kubernetes.io/arch": architecture(instance_type),
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(instance_type),
        "beta.kubernetes.io/os": "linux",
        "eks.amazonaws.com/nodegroup": instance.tags.get(_NODE_GROUP_TAG, instance.group),
        "eks.amazonaws.com/capacityType": instance.capacity_type,
    } | {key.removeprefix(_LABEL_TAG): value for key, value in instance.tags.items() if key.startswith(_LABEL_TAG)}


def cloud_labels(instance: Instance) -> dict[str, str]:
    """Labels that the cloud controller sets when it initialises a node."""
    return {
        "node.kubernetes.io/instance-type": instance.type,
        "topology.kubernetes.io/region": instance.region,
        "topology.kubernetes.io/zone": instance.zone,
        "beta.kubernetes.io/instance-type": instance.type,
        "failure-domain.beta.kubernetes.io/region": instance.region,
        "failure-domain.beta.kubernetes.io/zone": instance.zone,
    }


def registration_taints(instance: Instance) -> list[Object]:
    """The uninitialised taint, and the group's own, from its node-template tags.

    A managed node group has a tag for each of its taints; any other group without such a tag has the startup taint.
    """
    tagged = []
    for key, told in sorted(instance.tags.items()):
        if key.startswith(_TAINT_TAG):
            value, _, effect = told.rpartition(":")
            tagged.append({"key": key.removeprefix(_TAINT_TAG), "value": value, "effect": effect})
    uninitialized = {"key": UNINITIALIZED_TAINT, "value": "true", "effect": "NoSchedule"}
    if not tagged and _NODE_GROUP_TAG not in instance.tags:
        tagged = [STARTUP_TAINT]
    return [uninitialized, *tagged]


def addresses(instance: Instance) -> list[Object]:
    return [
        {"type": "InternalIP", "address": instance.address},
        {"type": "InternalDNS", "address": instance.private_dns_name},
        {"type": "Hostname", "address": instance.private_dns_name},
    ]


def architecture(instance_type: Object) -> str:
    supported = instance_type.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
    return next((_ARCHITECTURES[name] for name in supported if name in _ARCHITECTURES), "amd64")


def resources(instance_type: Object) -> Object:
    """Capacity of the type, and what is left for pods by the reservations that nodeadm configures.

    https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/: 255 MiB + 11 MiB a pod of memory, 100 MiB for the
    eviction threshold; of the processors 6 % of the first, 1 % of the second, 0.5 % of two more, 0.25 % of the rest.
    """
    processors = instance_type.get("VCpuInfo", {}).get("DefaultVCpus", 2)
    memory_mib = instance_type.get("MemoryInfo", {}).get("SizeInMiB", 8192)
    pods = max_pods(instance_type)
    reserved_milli = 60 + 10 * (processors > 1) + 5 * max(0, min(processors, 4) - 2) + 2.5 * max(0, processors - 4)
    # The kernel keeps some of what the type promises; 3 % is what is seen on large types.
    memory_kib = int(memory_mib * 1024 * 0.97)
    capacity = {
        "cpu": str(processors),
        "memory": f"{memory_kib}Ki",
        "pods": str(pods),
        "ephemeral-storage": "104779756Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }
    return {
        "capacity": capacity,
        "allocatable": capacity
        | {
            "cpu": f"{processors * 1000 - int(reserved_milli)}m",
            "memory": f"{memory_kib - (255 + 11 * pods + 100) * 1024}Ki",
            "ephemeral-storage": "95491281146",
        },
    }


def max_pods(instance_type: Object) -> int:
    """Addresses that the VPC CNI has for pods: EKS's own limit of a node, 110 or 250 at most."""
    network = instance_type.get("NetworkInfo") or {}
    interfaces, each = network.get("MaximumNetworkInterfaces"), network.get("Ipv4AddressesPerInterface")
    if not interfaces or not each:
        return 110
    return min(interfaces * (each - 1) + 2, 250 if instance_type.get("VCpuInfo", {}).get("DefaultVCpus", 2) >= 30 else 234)


def node_info(instance: Instance, instance_type: Object, kubelet_version: str) -> Object:
    return {
        "machineID": instance.id.removeprefix("i-").ljust(32, "0"),
        "systemUUID": f"ec2{instance.id.removeprefix('i-')}",
        "bootID": instance.id,
        "kernelVersion": "6.12.40-64.114.amzn2023." + ("aarch64" if architecture(instance_type) == "arm64" else "x86_64"),
        "osImage": "Amazon Linux 2023 (played by tidegate)",
        "containerRuntimeVersion": "containerd://2.1.4",
        "kubeletVersion": kubelet_version,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(instance_type),
    }


def conditions(*, ready: bool, healthy_since: str, ready_since: str) -> list[Object]:
    """A node is not ready until its network is: about a second after it registers. Times as :func:`now` writes them."""
    told = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        if ready
        else (
            "Ready",
            "False",
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
            "returns error: cni plugin not initialized",
        ),
    ]
    return [
        {
            "type": type,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now(),
            "lastTransitionTime": ready_since if type == "Ready" else healthy_since,
        }
        for type, status, reason, message in told
    ]
