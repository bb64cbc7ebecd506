"""The configuration files that `kwokctl create cluster` and the API server are given. JSON is YAML, so they are JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
# EKS keeps an answer for minutes; here a test that changes an access entry should not have to wait for that.
TOKEN_CACHE_SECONDS = 5
# The audit log at this size is renamed, and one such file is kept.
AUDIT_LOG_MEGABYTES = 100
# Kubernetes' default since 1.32, which EKS has. kwokctl's own is 40 s times a factor of 5.
NODE_MONITOR_GRACE_SECONDS = 50
# The address that pods would find the API server at. Nobody does here; left out, the API server looks for a default
# route and ends where there is none, as on a machine that is offline.
ADVERTISED = LOOPBACK
# What EKS takes by default.
SERVICE_ADDRESSES = "10.100.0.0/16"
# There is one of each. With leader election, one that cannot renew its lease for 10 s, as while the API server is away or
# the machine is very busy, ends itself.
SINGLE = {"leader-elect": "false"}
# The certificate by which kwokctl lets the API server speak for others to the servers behind it.
PROXY_CLIENT = "kwok-admin"
# kwok plays the nodes with this annotation and their pods; all other nodes are somebody else's.
FAKE_NODES = "kwok.x-k8s.io/node=fake"


@dataclass(frozen=True)
class Ports:
    """kwokctl would choose too, but counts down from 32767, so two worlds that start together get the same ones."""

    apiserver: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int
    kwok: int


@dataclass(frozen=True)
class Files:
    """Paths of the files that are written for the API server, and of the certificates that kwokctl makes."""

    audit_policy: Path
    audit_log: Path
    token_webhook: Path
    certificates: Path


def kwokctl_configuration(tools: Path, ports: Ports, files: Files, has_webhook: bool) -> dict[str, Any]:
    programs = tools / "bin"
    apiserver = {
        "enable-admission-plugins": "NodeRestriction",
        "advertise-address": ADVERTISED,
        # A loopback address is no valid endpoint of the service `kubernetes`, which nobody uses here.
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": SERVICE_ADDRESSES,
        # Servers of aggregated APIs are reached by their pods' addresses, as nobody routes those of services here, and learn
        # from the API server whose request it is. https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
        "enable-aggregator-routing": "true",
        "requestheader-client-ca-file": files.certificates / "ca.crt",
        "requestheader-allowed-names": PROXY_CLIENT,
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "audit-policy-file": files.audit_policy,
        "audit-log-path": files.audit_log,
        "audit-log-maxsize": AUDIT_LOG_MEGABYTES,
        "audit-log-maxbackup": 1,
    }
    if has_webhook:
        apiserver |= {
            "authentication-token-webhook-config-file": files.token_webhook,
            "authentication-token-webhook-version": "v1",
            "authentication-token-webhook-cache-ttl": f"{TOKEN_CACHE_SECONDS}s",
        }
    controllers = {
        # As on EKS: each controller has an identity, and rights, of its own; else all of them were the administrator.
        "use-service-account-credentials": "true",
        # Of the kubelets' servers.
        "cluster-signing-cert-file": files.certificates / "ca.crt",
        "cluster-signing-key-file": files.certificates / "ca.key",
    }
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            "bindAddress": LOOPBACK,
            "securePort": True,
            "kubeAuthorization": True,
            "kubeAdmission": True,
            "kubeApiserverPort": ports.apiserver,
            "etcdPort": ports.etcd,
            "etcdPeerPort": ports.etcd_peer,
            "kubeControllerManagerPort": ports.controller_manager,
            "kubeSchedulerPort": ports.scheduler,
            "kwokControllerPort": ports.kwok,
            "kubeControllerManagerNodeMonitorGracePeriodMilliseconds": NODE_MONITOR_GRACE_SECONDS * 1000,
            "heartbeatFactor": 1,
            "etcdBinary": str(programs / "etcd"),
            "kubeApiserverBinary": str(programs / "kube-apiserver"),
            "kubeControllerManagerBinary": str(programs / "kube-controller-manager"),
            "kubeSchedulerBinary": str(programs / "kube-scheduler"),
            "kubectlBinary": str(programs / "kubectl"),
            "kwokControllerBinary": str(programs / "kwok"),
        },
        "componentsPatches": [
            # kwokctl turns authorization on as Node,RBAC.
            _patch("kube-apiserver", apiserver),
            # The cluster does not outlive the world, and a disk that is busy with a build holds up every write.
            _patch("etcd", {"unsafe-no-fsync": "true"}),
            _patch("kube-controller-manager", controllers | SINGLE),
            _patch("kube-scheduler", SINGLE),
            _patch("kwok-controller", {"manage-all-nodes": "false", "manage-nodes-with-annotation-selector": FAKE_NODES}),
        ],
    }


def _patch(component: str, arguments: dict[str, Any]) -> dict[str, Any]:
    # Without "override", which only replaces flags that kwokctl sets itself; of a flag given twice, the last one counts.
    extra = [{"key": key, "value": str(value)} for key, value in arguments.items()]
    return {"name": component, "extraArgs": extra}


def audit_policy() -> dict[str, Any]:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            # Heartbeats and leader elections: several lines a second that nobody looks for.
            {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
            {"level": "None", "nonResourceURLs": ["/healthz*", "/readyz*", "/livez*", "/version"]},
            {"level": "Metadata"},
        ],
    }


def token_webhook(url: str) -> dict[str, Any]:
    """The kubeconfig by which the API server finds its webhook. Plain HTTP: it does not leave this machine."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "authenticator", "cluster": {"server": url}}],
        "users": [{"name": "apiserver"}],
        "contexts": [{"name": "webhook", "context": {"cluster": "authenticator", "user": "apiserver"}}],
        "current-context": "webhook",
    }


def administrator(server: str, ca: str, certificate: str, key: str) -> dict[str, Any]:
    """A kubeconfig that stands alone. Certificates and key are base64 of PEM."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tidegate", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "admin", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "tidegate", "context": {"cluster": "tidegate", "user": "admin"}}],
        "current-context": "tidegate",
    }


def write(path: Path, document: dict[str, Any]) -> None:
    """Atomically, readable by the owner only: some hold keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(path)
