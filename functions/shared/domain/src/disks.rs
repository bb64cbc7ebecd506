//! Instance-store disks: their layout, the volume each becomes, the share of it that the cache may use.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names;

const GIB: f64 = 1_073_741_824.0;

/// One instance-store NVMe disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Its size in GB (10^9 bytes), as `DescribeInstanceTypes` tells it.
    pub size_gb: u32,
}

impl Disk {
    /// Its raw size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.size_gb) * 1_000_000_000
    }

    /// The cache quota in GiB of a tier on this disk: 95 % of what uid 1000 can use of a default ext4 on it.
    ///
    /// ext4 spends 1.6 % of the disk on inode tables and descriptors and 1 GiB on its journal, and keeps 5 % for
    /// root. A quota beyond what can be used makes a worker fail writes instead of evicting.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn tier_quota_gib(self) -> u64 {
        let raw = self.bytes() as f64 / GIB;
        let usable = raw * 0.984 - 1.0 - raw * 0.05;
        (usable.max(0.0) * 0.95).floor() as u64
    }

    /// Whether a volume of that many bytes can be this disk: a file system takes up to a few percent of the disk,
    /// and the provisioner rounds down to GiB. Less than 90 % is another disk, a partition, or a broken one.
    #[must_use]
    pub fn fits_volume(self, bytes: u64) -> bool {
        bytes <= self.bytes() && bytes >= self.bytes() / 10 * 9
    }
}

/// The disks as their node shows them: with `one_array` they are one RAID 0 array, as large as all of them.
#[must_use]
pub fn as_set_up(disks: Vec<Disk>, one_array: bool) -> Vec<Disk> {
    if !one_array || disks.len() < 2 {
        return disks;
    }
    vec![Disk {
        size_gb: disks.iter().map(|disk| disk.size_gb).sum(),
    }]
}

/// The value of the label [`names::FAST_DISK_LABEL`] of a node whose disks are set up so.
#[must_use]
pub const fn fast_disk_node(one_array: bool) -> &'static str {
    if one_array {
        names::FAST_DISK_RAID
    } else {
        names::FAST_DISK_NVME
    }
}

/// The name of a set of disks: `2x300g`; disks of several sizes are joined by `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiskLayout(String);

impl DiskLayout {
    /// The layout of these disks; empty where there are none.
    #[must_use]
    pub fn of(disks: &[Disk]) -> Self {
        let mut counts = BTreeMap::new();
        for disk in disks {
            *counts.entry(disk.size_gb).or_insert(0_u32) += 1;
        }
        Self(
            counts
                .iter()
                .map(|(size, count)| format!("{count}x{size}g"))
                .collect::<Vec<_>>()
                .join("-"),
        )
    }

    /// The layout of a node without disks, whose cache is in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self(names::MEMORY_LAYOUT.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DiskLayout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The capacity in bytes that a worker on these disks registers with.
#[must_use]
pub fn expected_cache_bytes(disks: &[Disk]) -> u64 {
    disks
        .iter()
        .map(|disk| disk.tier_quota_gib() * 1_073_741_824)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_leaves_room_for_ext4_and_for_root() {
        for (size_gb, quota) in [(300, 246), (600, 494), (900, 742), (1900, 1569)] {
            assert_eq!(Disk { size_gb }.tier_quota_gib(), quota, "{size_gb} GB");
        }
    }

    #[test]
    fn a_layout_counts_disks_of_each_size() {
        let layout = |sizes: &[u32]| {
            DiskLayout::of(&sizes.iter().map(|&size_gb| Disk { size_gb }).collect::<Vec<_>>()).0
        };
        assert_eq!(layout(&[300, 300]), "2x300g");
        assert_eq!(layout(&[900, 300, 900]), "1x300g-2x900g");
        assert_eq!(layout(&[]), "");
    }

    #[test]
    fn an_array_is_one_disk_as_large_as_all_of_them() {
        let disks = vec![Disk { size_gb: 300 }; 2];
        assert_eq!(as_set_up(disks.clone(), false), disks);
        assert_eq!(as_set_up(disks, true), [Disk { size_gb: 600 }]);
        assert_eq!(as_set_up(Vec::new(), true), []);
    }

    #[test]
    fn a_single_disk_makes_no_array() {
        let disks = vec![Disk { size_gb: 300 }];
        assert_eq!(as_set_up(disks.clone(), true), disks);
    }

    #[test]
    fn a_volume_is_a_disk_when_only_the_file_system_is_missing() {
        let disk = Disk { size_gb: 300 };
        let gib = 1_073_741_824;
        assert!(disk.fits_volume(273 * gib));
        assert!(!disk.fits_volume(130 * gib));
        assert!(!disk.fits_volume(549 * gib));
    }
}
