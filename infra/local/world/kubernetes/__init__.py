"""The Kubernetes of the local world: a real control plane, and the login that EKS puts before it.

`ControlPlane` starts etcd, API server, controllers, scheduler and kwok as processes; `TokenWebhook` answers the API
server's question whose bearer token it holds, as EKS does with IAM identities and access entries.
"""

from .control_plane import Access, ControlPlane, ControlPlaneFailed
from .token_webhook import TokenWebhook

__all__ = ["Access", "ControlPlane", "ControlPlaneFailed", "TokenWebhook"]
