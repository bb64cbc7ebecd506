"""Addresses for pods that have one of their own."""

from __future__ import annotations

import ipaddress
from collections import deque


class PodAddresses:
    """Those of a network, given out one after the other and never one that a pod has."""

    def __init__(self, network: ipaddress.IPv4Network):
        # Neither the first, which is easily taken for a gateway, nor the network's own.
        self._free = deque(str(address) for address in list(network.hosts())[1:])

    def take(self) -> str:
        """Raises IndexError where all are taken."""
        return self._free.popleft()

    def keep(self, address: str) -> None:
        """A pod has it already."""
        if address in self._free:
            self._free.remove(address)

    def give_back(self, address: str) -> None:
        """It is the last to be given out again: who knew the pod by it has forgotten it by then."""
        if address not in self._free:
            self._free.append(address)


def of_world(network: str, pod_network: str | None) -> PodAddresses:
    """Of the network that the world keeps for pods, else of the upper half of its own."""
    if pod_network:
        return PodAddresses(ipaddress.IPv4Network(pod_network))
    return PodAddresses(list(ipaddress.IPv4Network(network).subnets(prefixlen_diff=1))[1])
