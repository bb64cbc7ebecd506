//! EC2 instance types and their disks.
