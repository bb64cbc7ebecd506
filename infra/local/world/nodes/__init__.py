"""The nodes of the local world: each running instance of a group becomes a node of the cluster, as on EKS.

Played here, one module each: the instance's boot and end (``player``, ``machine``), its disks (``disks``), the kubelet
(``kubelet``, ``pods``, ``containers``, ``probes``, ``volumes``, ``pod_spec``), the cloud controller (``cloud``), and the
local volume provisioner (``provisioner``, ``local_volumes``). Containers of known images are real processes
(``images``); all others are played without one.

Start it with ``python -m world.nodes`` (see ``__main__``); ``control`` tells the switches that tests use.
"""
