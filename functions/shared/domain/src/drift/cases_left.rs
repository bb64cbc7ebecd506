//! One thing differs: exactly that is found. What nodes left behind, and settings.

use serde_json::json;

use super::cases::{group, judged, kinds, only, runs, the_node};
use super::finding::Repair;
use super::fixtures::{INSTANCE, NODE_UID, at, claim, hook, volume};
use super::kind::Kind;
use super::manifests::Manifest;
use super::snapshot::{FailedExecution, SeenNode, SeenVolume, Snapshot};
use crate::node::{ClaimRef, VolumePhase};
use crate::resolve::Direction;

/// A volume of an instance that is gone, free.
pub(super) fn orphan() -> SeenVolume {
    let mut orphan = volume();
    orphan.instance = "i-0fedcba9876543210".into();
    orphan.volume.name = "local-pv-9".into();
    orphan.volume.hostname = Some("ip-10-0-0-9".into());
    orphan.volume.provisioned_by =
        Some("local-volume-provisioner-ip-10-0-0-9-99999999-2222-3333-4444-555555555555".into());
    orphan.volume.phase = VolumePhase::Available;
    orphan.volume.claim = None;
    orphan
}

pub(super) fn with(volume: SeenVolume) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| snapshot.volumes.as_mut().expect("seen").push(volume)
}

fn found(volume: SeenVolume) -> bool {
    !judged(with(volume)).findings.is_empty()
}

#[test]
fn a_volume_of_an_instance_and_a_node_that_are_gone_is_deleted() {
    let finding = only(Kind::VolumeOrphaned, with(orphan()));
    assert_eq!(finding.subject, "local-pv-9");
    assert!(matches!(finding.repair, Repair::DeleteOrphan(_)));
}

#[test]
fn a_volume_is_no_orphan_while_a_node_has_either_of_its_names() {
    for name in ["ip-10-0-0-9", "other"] {
        let mut orphan = orphan();
        orphan.volume.provisioned_by = None;
        let found = judged(|snapshot| {
            let mut node = SeenNode::default();
            node.node.name = name.into();
            snapshot.nodes.as_mut().expect("seen").push(node);
            with(orphan)(snapshot);
        });
        assert_eq!(found.findings.is_empty(), name == "ip-10-0-0-9", "{name}");
    }
    let by_label = judged(|snapshot| {
        let mut node = SeenNode::default();
        node.node.name = "other".into();
        node.node.uid = "99999999-2222-3333-4444-555555555555".into();
        let hostname = ("kubernetes.io/hostname".to_owned(), "ip-10-0-0-9".to_owned());
        node.node.labels = [hostname].into();
        snapshot.nodes.as_mut().expect("seen").push(node);
        with(orphan())(snapshot);
    });
    assert!(by_label.findings.is_empty());
}

#[test]
fn a_volume_of_an_earlier_node_of_a_name_that_is_used_again_is_an_orphan() {
    let mut earlier = orphan();
    earlier.volume.hostname = Some("ip-10-0-0-7".into());
    earlier.volume.provisioned_by =
        Some("local-volume-provisioner-ip-10-0-0-7-99999999-2222-3333-4444-555555555555".into());
    assert!(found(earlier.clone()));
    earlier.volume.provisioned_by = Some(format!("local-volume-provisioner-ip-10-0-0-7-{NODE_UID}"));
    assert!(!found(earlier), "the same UID: it is that node's");
}

#[test]
fn a_volume_is_no_orphan_while_its_instance_is_in_a_group() {
    let mut volume = orphan();
    volume.instance = INSTANCE.into();
    let judgement = judged(with(volume));
    assert!(!kinds(&judgement).contains(&Kind::VolumeOrphaned));
}

#[test]
fn a_volume_of_another_class_or_without_a_name_of_its_node_is_left_alone() {
    let mut other = orphan();
    other.volume.storage_class = "gp3".into();
    assert!(!found(other));
    let mut nameless = orphan();
    (nameless.volume.hostname, nameless.volume.provisioned_by) = (None, None);
    assert!(!found(nameless));
}

#[test]
fn an_orphan_that_a_claim_holds_waits_for_it() {
    let mut bound = orphan();
    bound.volume.phase = VolumePhase::Bound;
    bound.volume.claim = Some(claim());
    let finding = only(Kind::VolumeOrphaned, with(bound.clone()));
    assert!(!finding.repair.is_possible());
    bound.volume.claim = Some(ClaimRef {
        uid: "gone".into(),
        ..claim()
    });
    let finding = only(Kind::VolumeOrphaned, with(bound.clone()));
    assert!(finding.repair.is_possible(), "its claim is gone");
    bound.volume.claim = Some(ClaimRef {
        namespace: "elsewhere".into(),
        uid: "unknown".into(),
        ..claim()
    });
    let finding = only(Kind::VolumeOrphaned, with(bound));
    assert!(!finding.repair.is_possible(), "a claim that was not looked at");
}

#[test]
fn a_released_orphan_goes_only_where_its_policy_allows() {
    let mut released = orphan();
    released.volume.phase = VolumePhase::Released;
    assert!(
        only(Kind::VolumeOrphaned, with(released.clone()))
            .repair
            .is_possible()
    );
    released.deletes = false;
    assert!(!only(Kind::VolumeOrphaned, with(released)).repair.is_possible());
}

fn released(change: impl FnOnce(&mut SeenVolume)) -> Vec<Kind> {
    let judgement = judged(|snapshot| {
        let mut second = volume();
        second.volume.name = "local-pv-2".into();
        second.volume.phase = VolumePhase::Released;
        second.volume.claim = None;
        change(&mut second);
        snapshot.volumes.as_mut().expect("seen").push(second);
    });
    kinds(&judgement)
}

#[test]
fn a_released_volume_of_a_node_that_is_there_is_deleted_so_that_it_is_published_again() {
    let finding = only(Kind::VolumeReleased, |snapshot| {
        let mut second = volume();
        second.volume.phase = VolumePhase::Released;
        second.volume.claim = None;
        snapshot.volumes.as_mut().expect("seen").push(second);
    });
    assert_eq!(finding.since, Some(at(0)));
    assert!(matches!(finding.repair, Repair::DeleteReleased(_)));
}

#[test]
fn a_released_volume_is_left_alone_where_anything_about_it_does_not_match() {
    assert_eq!(released(|_| ()), [Kind::VolumeReleased]);
    assert!(
        released(|seen| seen.volume.claim = Some(claim())).is_empty(),
        "its claim is there"
    );
    assert!(released(|seen| seen.volume.hostname = Some("other".into())).is_empty());
    assert!(
        released(|seen| seen.volume.provisioned_by = Some("local-volume-provisioner-ip-10-0-0-7-old".into()))
            .is_empty()
    );
}

#[test]
fn a_released_volume_with_the_policy_retain_is_told_and_kept() {
    let finding = only(Kind::VolumeReleased, |snapshot| {
        let mut second = volume();
        second.volume.phase = VolumePhase::Released;
        second.volume.claim = None;
        second.deletes = false;
        snapshot.volumes.as_mut().expect("seen").push(second);
    });
    assert!(!finding.repair.is_possible());
}

#[test]
fn volumes_of_a_node_that_is_being_worked_on_are_not_judged() {
    let judgement = judged(|snapshot| {
        snapshot.volumes.as_mut().expect("seen")[0].volume.phase = VolumePhase::Released;
        runs(snapshot, Direction::Join, &format!("event-{INSTANCE}"));
    });
    assert!(judgement.findings.is_empty(), "{:#?}", judgement.findings);
}

#[test]
fn a_hook_that_is_missing_is_put_as_the_samples_have_it() {
    for (index, direction) in [Direction::Join, Direction::Drain].into_iter().enumerate() {
        let finding = only(Kind::HookDrifted, |snapshot| {
            group(snapshot).hooks.remove(index);
        });
        let Repair::PutHook { hook: put, .. } = finding.repair else {
            panic!("{:#?}", finding.repair);
        };
        assert_eq!(put, hook(direction));
    }
}

#[test]
fn a_hook_that_endangers_data_or_runs_out_at_once_is_put_right_and_the_rest_of_it_kept() {
    let finding = only(Kind::HookDrifted, |snapshot| {
        let hook = &mut group(snapshot).hooks[1];
        hook.default_result = "CONTINUE".into();
        hook.heartbeat_seconds = 3_600;
    });
    let Repair::PutHook { hook: put, .. } = finding.repair else {
        panic!("{:#?}", finding.repair);
    };
    assert_eq!(
        (put.default_result.as_str(), put.heartbeat_seconds),
        ("ABANDON", 3_600)
    );
    let finding = only(Kind::HookDrifted, |snapshot| {
        group(snapshot).hooks[0].heartbeat_seconds = 30;
    });
    assert!(finding.seen.contains("runs out after 30 s"), "{}", finding.seen);
}

#[test]
fn what_becomes_of_a_launch_that_nobody_completes_is_the_operators_choice() {
    let judgement = judged(|snapshot| group(snapshot).hooks[0].default_result = "ABANDON".into());
    assert!(judgement.findings.is_empty());
}

#[test]
fn a_hook_about_the_other_transition_is_put_right() {
    let finding = only(Kind::HookDrifted, |snapshot| {
        group(snapshot).hooks[1].transition = Direction::Join.transition().into();
    });
    assert!(
        finding.seen.contains("EC2_INSTANCE_LAUNCHING"),
        "{}",
        finding.seen
    );
}

#[test]
fn a_group_that_does_not_keep_abandoned_instances_is_told_to() {
    let finding = only(Kind::RetentionDrifted, |snapshot| group(snapshot).retains = false);
    assert_eq!(finding.repair, Repair::Retain("nvme-nodes".into()));
}

#[test]
fn a_group_that_does_not_exist_is_one_finding() {
    let judgement = judged(|snapshot| {
        let group = group(snapshot);
        (group.exists, group.retains) = (false, false);
        group.hooks.clear();
        group.members.clear();
        the_node(snapshot).node.labels.clear();
    });
    assert_eq!(
        kinds(&judgement),
        [Kind::HookDrifted],
        "{:#?}",
        judgement.findings
    );
}

#[test]
fn a_rule_that_is_disabled_is_enabled_and_one_that_is_gone_needs_a_deployment() {
    let finding = only(Kind::RuleDisabled, |snapshot| {
        snapshot.rules.as_mut().expect("seen").found[0].enabled = false;
    });
    assert!(matches!(finding.repair, Repair::EnableRule(_)));
    let finding = only(Kind::RuleDisabled, |snapshot| {
        snapshot.rules.as_mut().expect("seen").found.clear();
    });
    assert!(!finding.repair.is_possible());
}

#[test]
fn an_object_of_the_manifests_that_was_changed_or_is_gone_is_applied_again() {
    let desired =
        json!({"kind": "DaemonSet", "metadata": {"namespace": "alluxio", "name": "w"}, "spec": {"a": 1}});
    let mut changed = desired.clone();
    changed["spec"]["a"] = json!(2);
    for (live, words) in [(Some(changed), "spec.a is 2, not 1"), (None, "is gone")] {
        let manifest = Manifest {
            name: "DaemonSet alluxio/w".into(),
            desired: desired.clone(),
            live,
        };
        let finding = only(Kind::ManifestDrifted, |snapshot| {
            snapshot.manifests.as_mut().expect("seen").objects = Some(vec![manifest]);
        });
        assert!(finding.seen.contains(words), "{}", finding.seen);
        assert_eq!(finding.repair, Repair::Apply(Box::new(desired.clone())));
    }
}

#[test]
fn a_cluster_without_a_record_of_its_manifests_is_told_so() {
    let finding = only(Kind::ManifestDrifted, |snapshot| {
        snapshot.manifests.as_mut().expect("seen").objects = None;
    });
    assert!(!finding.repair.is_possible());
}

#[test]
fn an_execution_that_failed_is_told_with_its_reason() {
    let finding = only(Kind::ExecutionFailed, |snapshot| {
        let failed = FailedExecution {
            arn: "arn:e-1".into(),
            status: "FAILED".into(),
            ended_at: at(5),
            why: Some("stalled: no room".into()),
        };
        snapshot.executions.as_mut().expect("seen").failed.push(failed);
    });
    assert_eq!(finding.subject, "arn:e-1");
    assert!(finding.seen.ends_with("stalled: no room"), "{}", finding.seen);
    assert!(!finding.repair.is_possible());
}
