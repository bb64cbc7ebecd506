//! Claims and volumes: what our workers left behind is deleted, and what somebody else made is not touched.

use super::cases::{judged, nothing, only};
use super::cases_left::{orphan, with};
use super::finding::Repair;
use super::fixtures::{at, claim, volume};
use super::kind::Kind;
use super::snapshot::{OwnerPod, SeenClaim, SeenVolume, Snapshot};
use crate::names;
use crate::node::{ClaimRef, VolumePhase};

/// The claim of a worker's pod that is gone.
fn left_behind() -> SeenClaim {
    SeenClaim {
        claim: ClaimRef {
            name: "alluxio-worker-gone-tier-0".into(),
            uid: "second-uid".into(),
            ..claim()
        },
        storage_class: names::FAST_DISKS_CLASS.to_owned(),
        volume: Some("local-pv-2".to_owned()),
        created_at: Some(at(0)),
        deleting: false,
        worker: true,
        owner_pod: Some(OwnerPod {
            name: "alluxio-worker-gone".to_owned(),
            uid: "gone-pod-uid".to_owned(),
        }),
    }
}

fn and(claim: SeenClaim) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| snapshot.claims.as_mut().expect("seen").push(claim)
}

#[test]
fn a_claim_whose_worker_pod_is_gone_is_reported() {
    let finding = only(Kind::ClaimOrphaned, and(left_behind()));
    assert_eq!(finding.subject, "alluxio/alluxio-worker-gone-tier-0");
    assert!(
        matches!(&finding.repair, Repair::Nothing(why) if why.contains("garbage collector")),
        "{finding:?}"
    );
}

#[test]
fn a_claim_that_no_worker_pod_owned_is_left_alone() {
    type Change = fn(&mut SeenClaim);
    let changes: [(&str, Change); 5] = [
        ("of a StatefulSet scaled to nothing", |claim| {
            (claim.worker, claim.owner_pod) = (false, None);
        }),
        ("of another pod's ephemeral volume", |claim| claim.worker = false),
        ("with our label, made by hand", |claim| claim.owner_pod = None),
        ("of another class", |claim| claim.storage_class = "gp3".into()),
        ("on its way out", |claim| claim.deleting = true),
    ];
    for (words, change) in changes {
        let mut claim = left_behind();
        change(&mut claim);
        let judgement = judged(and(claim));
        assert!(
            judgement.findings.is_empty(),
            "{words}: {:#?}",
            judgement.findings
        );
    }
}

#[test]
fn a_claim_whose_pod_is_there_is_left_alone() {
    let mut claim = left_behind();
    claim.owner_pod = Some(OwnerPod {
        name: "alluxio-worker-x".to_owned(),
        uid: "pod-uid".to_owned(),
    });
    nothing(and(claim));
}

fn journal() -> ClaimRef {
    ClaimRef {
        namespace: "alluxio".into(),
        name: "journal-alluxio-master-0".into(),
        uid: "journal-uid".into(),
    }
}

fn released_from(claim: ClaimRef) -> SeenVolume {
    let mut released = volume();
    released.volume.name = "local-pv-2".into();
    released.volume.phase = VolumePhase::Released;
    released.volume.claim = Some(claim);
    released
}

#[test]
fn a_volume_released_by_a_worker_is_deleted() {
    let finding = only(Kind::VolumeReleased, with(released_from(left_behind().claim)));
    assert!(matches!(finding.repair, Repair::DeleteReleased(_)));
}

#[test]
fn a_volume_released_by_somebody_else_is_told() {
    let elsewhere = ClaimRef {
        namespace: "team-a".into(),
        ..left_behind().claim
    };
    for claim in [journal(), elsewhere] {
        let finding = only(Kind::VolumeReleased, with(released_from(claim)));
        assert!(matches!(finding.repair, Repair::Nothing(why) if why.contains("not a worker's")));
    }
}

#[test]
fn an_orphan_that_somebody_else_used_is_told() {
    for phase in [VolumePhase::Released, VolumePhase::Bound] {
        let mut orphan = orphan();
        orphan.volume.phase = phase;
        orphan.volume.claim = Some(journal());
        let finding = only(Kind::VolumeOrphaned, with(orphan));
        assert!(!finding.repair.is_possible(), "{phase:?}");
    }
}
