//! Runs an Alluxio worker on the node and opens the node once it is registered.
