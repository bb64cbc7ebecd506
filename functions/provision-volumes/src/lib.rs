//! Waits until each disk of the node is a volume.
