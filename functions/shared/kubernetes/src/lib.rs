//! Nodes, volumes and pods in the cluster's API server.
