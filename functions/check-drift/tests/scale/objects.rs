//! A node with its two volumes, its worker's pod and the claims of that, as large as they are on EKS.

use serde_json::{Value, json};

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const PODS: &str = "/api/v1/namespaces/alluxio/pods";
pub(crate) const VOLUMES: &str = "/api/v1/persistentvolumes";
pub(crate) const CLAIMS: &str = "/api/v1/namespaces/alluxio/persistentvolumeclaims";

/// Of so many nodes one lacks its labels.
pub(crate) const ONE_IN: usize = 100;
/// Images that a kubelet lists, and a cluster's tools note on a node.
const IMAGES: usize = 25;

pub(crate) fn instance(number: usize) -> String {
    format!("i-{number:017x}")
}

fn name(number: usize) -> String {
    format!(
        "ip-10-{}-{}-{}.us-west-2.compute.internal",
        number / 65_536,
        number / 256 % 256,
        number % 256
    )
}

pub(crate) fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number / 65_536, number / 256 % 256, number % 256)
}

/// The volumes of a node with the claims that its worker has on them.
pub(crate) fn volumes_of_node(number: usize) -> [(Value, Value); 2] {
    [0, 1].map(|disk| (volume(number, disk), claim(number, disk)))
}

pub(crate) fn node(number: usize) -> Value {
    let (name, instance) = (name(number), instance(number));
    let mut labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "eks.amazonaws.com/nodegroup": "nvme-nodes",
        "eks.amazonaws.com/nodegroup-image": "ami-0123456789abcdef0",
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
        "node.kubernetes.io/instance-type": "m5d.4xlarge",
        "topology.kubernetes.io/region": "us-west-2",
        "topology.kubernetes.io/zone": "us-west-2a",
        "topology.ebs.csi.aws.com/zone": "us-west-2a",
    });
    if !number.is_multiple_of(ONE_IN) {
        for (label, value) in [
            ("tidegate.dev/instance-id", instance.as_str()),
            ("tidegate.dev/disk-layout", "2x300g"),
            ("tidegate.dev/alluxio-worker", "2x300g"),
            ("fast-disk-node", "pv-nvme"),
        ] {
            labels[label] = json!(value);
        }
    }
    let images: Vec<_> = (0..IMAGES)
        .map(|image| {
            json!({
                "names": [format!("602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/some-image-{image}@sha256:{image:064x}")],
                "sizeBytes": 100_000_000,
            })
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                "alpha.kubernetes.io/provided-node-ip": address(number),
                "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"{instance}\"}}"),
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {"providerID": format!("aws:///us-west-2a/{instance}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address(number)}, {"type": "Hostname", "address": name}],
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                 "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "images": images,
            "nodeInfo": {
                "architecture": "amd64", "bootID": "b", "containerRuntimeVersion": "containerd://2.0.0", "kernelVersion": "6.1",
                "kubeProxyVersion": "", "kubeletVersion": "v1.35.4-eks", "machineID": "m", "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023", "systemUUID": "u"},
        },
    })
}

fn volume(number: usize, disk: usize) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": format!("local-pv-{number}-{disk}"),
            "annotations": {"pv.kubernetes.io/provisioned-by":
                format!("local-volume-provisioner-{name}-11111111-2222-3333-4444-555555555555")},
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": "us-west-2a",
                "tidegate.dev/instance-id": instance(number),
            },
        },
        "spec": {
            "capacity": {"storage": "273Gi"},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "fast-disks",
            "local": {"path": format!("/mnt/fast-disks/11111111-2222-3333-4444-{number:011}{disk}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]}]}},
        },
    })
}

fn claim(number: usize, disk: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": format!("alluxio-worker-{number}-tier-{disk}"),
            "labels": {"app": "alluxio", "role": "alluxio-worker", "tidegate.dev/disk-layout": "2x300g"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast-disks",
            "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": "252Gi"}},
        },
    })
}

pub(crate) fn pod(number: usize) -> Value {
    let tier = |disk: usize| {
        json!({"name": format!("tier-{disk}"), "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast-disks",
            "resources": {"requests": {"storage": "252Gi"}}}}}})
    };
    let container = |name: &str| {
        json!({
            "name": name,
            "image": "alluxio/alluxio:2.9.5",
            "args": ["worker-only", "--no-format"],
            "envFrom": [{"configMapRef": {"name": "alluxio-config"}}],
            "env": [
                {"name": "NODE_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                {"name": "ALLUXIO_WORKER_JAVA_OPTS", "value": "-Dalluxio.worker.tieredstore.level0.dirs.path=/mnt".repeat(6)}],
            "ports": [{"name": format!("rpc-{}", name.len()), "containerPort": 29_000 + name.len()}],
            "resources": {"requests": {"cpu": "1", "memory": "9Gi"}},
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("alluxio-worker-{number}"),
            "labels": {"app": "alluxio", "role": "alluxio-worker", "tidegate.dev/disk-layout": "2x300g"},
        },
        "spec": {
            "nodeName": name(number),
            "terminationGracePeriodSeconds": 120,
            "containers": [container("alluxio-worker"), container("alluxio-job-worker")],
            "volumes": [tier(0), tier(1)],
        },
    })
}
