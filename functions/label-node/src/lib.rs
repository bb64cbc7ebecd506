//! Finds the node of an instance and labels it with what is known of its disks.
