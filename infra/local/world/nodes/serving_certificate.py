"""The certificate of a kubelet's server: asked for as a kubelet does, approved as EKS does, signed by the cluster itself.

https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#kubelet-configuration
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .api import Api, ApiError, Object, Unreachable
from .instances import Instance

# Who approves them on EKS.
APPROVER = ("eks:certificate-controller", ("system:masters",))

_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_LOOKS = 50


async def obtain(api: Api, approver: Api, instance: Instance, directory: Path) -> ssl.SSLContext:
    """``api`` acts as the node. The key lies in ``directory``. Waits out an API server that is away."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = _request(instance, key)
    while True:
        try:
            certificate = await _signed(api, approver, request)
            break
        except (ApiError, *Unreachable, TimeoutError):
            await asyncio.sleep(_RETRY_SECONDS)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "kubelet-server.pem"
    file.touch(mode=0o600)
    file.write_bytes(certificate + _pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _request(instance: Instance, key: ec.EllipticCurvePrivateKey) -> bytes:
    node = instance.private_dns_name
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
        ]
    )
    served = x509.SubjectAlternativeName([x509.DNSName(node), x509.IPAddress(ipaddress.ip_address(instance.address))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(served, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def _signed(api: Api, approver: Api, request: bytes) -> bytes:
    spec = {
        "request": base64.b64encode(request).decode(),
        "signerName": "kubernetes.io/kubelet-serving",
        "usages": ["digital signature", "server auth"],
    }
    asked: Object = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": spec,
    }
    made = await api.create(_PATH, asked)
    path = f"{_PATH}/{made['metadata']['name']}"
    approval = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": "a kubelet's server"}
    made["status"] = {"conditions": [approval]}
    await approver.call("PUT", f"{path}/approval", made)
    for _ in range(_LOOKS):
        certificate = (await api.get(path)).get("status", {}).get("certificate")
        if certificate:
            return base64.b64decode(certificate)
        await asyncio.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"{path} is not signed")
