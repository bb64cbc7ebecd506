//! A disk layout as a person writes it, and what a worker makes of each disk.

use serde::Serialize;
use tidegate_domain::disks::{Disk, DiskLayout};
use tidegate_domain::names;

use crate::Error;

const MIB: u64 = 1_048_576;
const GIB: u64 = 1_073_741_824;

/// No instance type has more instance-store disks (d3en.12xlarge and its like).
const MOST_DISKS: u32 = 24;

/// The disks of an instance type, as tiers of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Its name, such as `2x300g`: the value of the labels.
    pub name: String,
    /// A tier for each disk, smallest disk first.
    pub tiers: Vec<Tier>,
    /// Size of the volume in memory of a layout without disks, in MiB; 0 where there are disks.
    pub memory_mib: u32,
}

/// One disk as a directory of the worker's only tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tier {
    /// Name of the volume in the pod.
    pub name: String,
    /// Where the containers see it.
    pub path: String,
    /// Alluxio's word for its medium.
    pub medium: &'static str,
    /// What Alluxio may fill, in bytes.
    pub quota_bytes: u64,
    /// What its claim asks for, in GiB: the smallest volume that is taken for this disk.
    pub request_gib: u64,
}

impl Layout {
    /// Parses `2x300g`, or `1x300g-2x900g` where the disks differ: counts and sizes in GB, sizes going up, as the
    /// functions name what they find.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let disks = parse_disks(text).ok_or_else(|| {
            Error(format!(
                "disk layout {text:?} is not a count and a size in GB such as 2x300g, several joined by -"
            ))
        })?;
        let name = DiskLayout::of(&disks).to_string();
        if name != text {
            return Err(Error(format!(
                "disk layout {text:?} is written {name}: each size once, sizes going up"
            )));
        }
        let tiers = disks
            .iter()
            .enumerate()
            .map(|(index, disk)| {
                Tier::of(index, *disk).ok_or_else(|| {
                    Error(format!(
                        "disk layout {text:?} has a disk too small to hold a cache"
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            tiers,
            memory_mib: 0,
        })
    }

    /// For nodes without disks: one tier in a memory volume of this size.
    #[must_use]
    pub fn memory(memory_mib: u32) -> Self {
        let tier = Tier {
            name: "tier-0".into(),
            path: "/mnt/alluxio/tier-0".into(),
            medium: "MEM",
            // Blocks in the making are not counted, as on a disk.
            quota_bytes: u64::from(memory_mib) * MIB / 100 * 95,
            request_gib: 0,
        };
        Self {
            name: names::MEMORY_LAYOUT.into(),
            tiers: vec![tier],
            memory_mib,
        }
    }
}

impl Tier {
    fn of(index: usize, disk: Disk) -> Option<Self> {
        let quota_gib = disk.tier_quota_gib();
        if quota_gib == 0 {
            return None;
        }
        Some(Self {
            name: format!("tier-{index}"),
            path: format!("/mnt/alluxio/tier-{index}"),
            medium: "SSD",
            quota_bytes: quota_gib * GIB,
            request_gib: (quota_gib..=disk.bytes() / GIB).find(|gib| disk.fits_volume(gib * GIB))?,
        })
    }
}

fn parse_disks(text: &str) -> Option<Vec<Disk>> {
    let mut disks = Vec::new();
    for part in text.split('-') {
        let (count, size) = part.strip_suffix('g')?.split_once('x')?;
        let (count, size_gb) = (number(count)?, number(size)?);
        if disks.len() + usize::try_from(count).ok()? > usize::try_from(MOST_DISKS).ok()? {
            return None;
        }
        disks.extend((0..count).map(|_| Disk { size_gb }));
    }
    Some(disks)
}

/// Digits without a sign or leading zeros, not 0.
fn number(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|&number: &u32| number > 0 && number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(text: &str) -> Vec<(u64, u64)> {
        let layout = Layout::parse(text).expect("a layout");
        layout
            .tiers
            .iter()
            .map(|tier| (tier.quota_bytes / GIB, tier.request_gib))
            .collect()
    }

    #[test]
    fn a_tier_gets_the_quota_of_its_disk_and_asks_for_a_volume_that_is_this_disk() {
        assert_eq!(tiers("2x300g"), [(246, 252), (246, 252)]);
        assert_eq!(tiers("1x300g-2x900g"), [(246, 252), (742, 755), (742, 755)]);
        assert_eq!(tiers("4x1900g").len(), 4);
    }

    #[test]
    fn a_tier_in_memory_is_smaller_than_its_volume() {
        let layout = Layout::memory(1024);
        assert_eq!(layout.name, "memory");
        assert_eq!(layout.tiers.len(), 1);
        let quota = layout.tiers[0].quota_bytes;
        assert!(quota < 1024 * MIB && quota > 970 * MIB, "{quota}");
    }

    #[test]
    fn a_volume_of_the_disk_meets_the_claim_and_a_volume_of_the_next_smaller_disk_does_not() {
        // What the provisioner publishes of a disk with a default ext4, in GiB, and the sizes that EC2 sells.
        let published = |size_gb: u64| (size_gb * 1_000_000_000 * 984 / 1000) / GIB - 1;
        let sizes = [
            50, 75, 118, 150, 237, 300, 474, 600, 900, 950, 1425, 1900, 2500, 3750, 7500,
        ];
        for pair in sizes.windows(2) {
            let [smaller, size] = pair else { unreachable!() };
            let claim = Layout::parse(&format!("1x{size}g")).expect("a layout").tiers[0].request_gib;
            assert!(published(*size) >= claim, "{size} GB");
            // Disks of 900 and 950 GB are never in one instance, and too close for a partition.
            assert!(
                published(*smaller) < claim || *size == 950,
                "{smaller} GB for {size} GB"
            );
        }
    }

    #[test]
    fn what_is_no_layout_is_said_in_one_sentence() {
        for text in [
            "", "2x300", "x300g", "2xg", "0x300g", "2x0g", "+2x300g", "02x300g", "2x300g-", "300g", "2X300g",
        ] {
            let error = Layout::parse(text).expect_err(text).to_string();
            assert_eq!(
                error,
                format!(
                    "disk layout {text:?} is not a count and a size in GB such as 2x300g, several joined by -"
                )
            );
        }
    }

    #[test]
    fn a_layout_is_written_as_the_functions_name_it() {
        for (text, name) in [("2x900g-1x300g", "1x300g-2x900g"), ("1x300g-1x300g", "2x300g")] {
            let error = Layout::parse(text).expect_err(text).to_string();
            assert_eq!(
                error,
                format!("disk layout {text:?} is written {name}: each size once, sizes going up")
            );
        }
    }

    #[test]
    fn absurd_layouts_are_refused_without_being_built() {
        assert!(Layout::parse("4000000000x300g").is_err());
        let error = Layout::parse("1x1g").expect_err("too small").to_string();
        assert_eq!(error, "disk layout \"1x1g\" has a disk too small to hold a cache");
    }
}
