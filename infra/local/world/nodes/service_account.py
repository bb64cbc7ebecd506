"""The volume by which a pod's processes log in at the API server, as its service account."""

from __future__ import annotations

from pathlib import Path

from . import pod_spec
from .api import Api, Object

# Where every pod has it that does not decline.
DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"


async def write(api: Api, directory: Path, pod: Object, sources: list[Object]) -> None:
    """Fills a projected volume as the kubelet, whose identity ``api`` has, would. Raises ApiError.

    The token is not renewed: the API server lets those that every pod gets live for a year, whatever they ask for.
    """
    metadata = pod["metadata"]
    files: dict[str, str] = {}
    for source in sources:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            files[wanted["path"]] = await _token(api, pod, wanted["expirationSeconds"])
        if "configMap" in source:
            told = await api.get(f"/api/v1/namespaces/{metadata['namespace']}/configmaps/{source['configMap']['name']}")
            files |= {item["path"]: told["data"][item["key"]] for item in source["configMap"].get("items", [])}
        for item in source.get("downwardAPI", {}).get("items", []):
            files[item["path"]] = pod_spec.field(pod, item["fieldRef"]["fieldPath"], pod_spec.Addresses("", ""))
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        file = directory / name
        file.touch(mode=0o600)
        file.write_text(text)


async def _token(api: Api, pod: Object, seconds: int) -> str:
    metadata = pod["metadata"]
    account = pod["spec"].get("serviceAccountName", "default")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds, "boundObjectRef": bound},
    }
    path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
    return (await api.create(path, request))["status"]["token"]
