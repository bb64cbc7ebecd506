//! What becomes of the volumes, once no pod and no claim of ours is left.

use crate::names;
use crate::node::VolumePhase;

/// A persistent volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldVolume {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.storageClassName`.
    pub storage_class: String,
    /// `status.phase`.
    pub phase: VolumePhase,
    /// Namespace and name of its claim.
    pub claim: Option<(String, String)>,
    /// Its reclaim policy is `Delete`.
    pub deletes: bool,
    /// `spec.csi.volumeHandle`: the EBS volume.
    pub handle: Option<String>,
    /// It is a disk of a node of ours: it carries [`names::INSTANCE_ID_LABEL`].
    pub of_instance: bool,
}

/// What becomes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Nobody else takes them away: the provisioner that published them is gone.
    pub delete: Vec<HeldVolume>,
    /// Their driver takes them away.
    pub awaited: Vec<String>,
    /// Nobody takes them away.
    pub kept: Vec<String>,
    /// Somebody else uses them.
    pub foreign: Vec<String>,
}

/// What becomes of each.
#[must_use]
pub fn held(volumes: &[HeldVolume], namespace: &str) -> Held {
    let mut held = Held::default();
    for volume in volumes {
        let claim = volume.claim.as_ref();
        let told = claim.map_or_else(
            || format!("PersistentVolume {}", volume.name),
            |(namespace, name)| format!("PersistentVolume {} of claim {namespace}/{name}", volume.name),
        );
        let here = claim.is_some_and(|(of, _)| of == namespace);
        if volume.of_instance && volume.storage_class == names::FAST_DISKS_CLASS {
            match volume.phase {
                VolumePhase::Bound if here => held.awaited.push(told),
                VolumePhase::Bound => held.foreign.push(told),
                _ => held.delete.push(volume.clone()),
            }
        } else if here && matches!(volume.phase, VolumePhase::Released | VolumePhase::Failed) {
            let id = volume.handle.as_deref().unwrap_or("no id");
            if volume.deletes {
                held.awaited
                    .push(format!("{told} ({id}) is being deleted by its driver"));
            } else {
                held.kept
                    .push(format!("{told} ({id}) is kept by its reclaim policy Retain"));
            }
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(phase: VolumePhase, claim: Option<(&str, &str)>) -> HeldVolume {
        HeldVolume {
            name: "local-pv-1".into(),
            uid: "u".into(),
            storage_class: "fast-disks".into(),
            phase,
            claim: claim.map(|(namespace, name)| (namespace.into(), name.into())),
            deletes: true,
            handle: None,
            of_instance: true,
        }
    }

    fn ebs(phase: VolumePhase, deletes: bool) -> HeldVolume {
        HeldVolume {
            name: "pvc-1".into(),
            storage_class: "standard".into(),
            deletes,
            handle: Some("vol-1".into()),
            of_instance: false,
            ..local(phase, Some(("alluxio", "journal-alluxio-master-0")))
        }
    }

    #[test]
    fn a_disk_that_nobody_uses_is_deleted_and_one_that_somebody_else_uses_is_named() {
        let free = local(VolumePhase::Available, None);
        let released = local(VolumePhase::Released, Some(("alluxio", "a")));
        let theirs = local(VolumePhase::Bound, Some(("team", "scratch")));
        let ours = local(VolumePhase::Bound, Some(("alluxio", "a")));
        let found = held(&[free.clone(), released.clone(), theirs, ours], "alluxio");
        assert_eq!(found.delete, [free, released]);
        assert_eq!(
            found.foreign,
            ["PersistentVolume local-pv-1 of claim team/scratch"]
        );
        assert_eq!(found.awaited, ["PersistentVolume local-pv-1 of claim alluxio/a"]);
    }

    #[test]
    fn a_disk_that_tidegate_did_not_publish_is_none_of_its_business() {
        let volume = HeldVolume {
            of_instance: false,
            ..local(VolumePhase::Available, None)
        };
        assert_eq!(held(&[volume], "alluxio"), Held::default());
    }

    #[test]
    fn a_masters_volume_goes_by_its_driver_or_is_told_with_its_id() {
        let going = held(&[ebs(VolumePhase::Released, true)], "alluxio");
        assert_eq!(
            going.awaited,
            [
                "PersistentVolume pvc-1 of claim alluxio/journal-alluxio-master-0 (vol-1) is being deleted by its driver"
            ]
        );
        let kept = held(&[ebs(VolumePhase::Released, false)], "alluxio");
        assert!(
            kept.kept[0].contains("vol-1") && kept.kept[0].contains("Retain"),
            "{kept:?}"
        );
        assert_eq!(held(&[ebs(VolumePhase::Bound, true)], "alluxio"), Held::default());
        assert_eq!(
            held(&[ebs(VolumePhase::Released, true)], "other"),
            Held::default()
        );
    }
}
