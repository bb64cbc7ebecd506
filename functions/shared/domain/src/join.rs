//! A node joins: what to write on it, whether its disks are volumes, whether its worker is in service.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cache::{Worker, WorkerState};
use crate::claim::taken_over;
use crate::cordon;
use crate::disks::{Disk, expected_cache_bytes, fast_disk_node};
use crate::names;
use crate::node::{Node, NodeChange, Pod, Volume, VolumePhase};
use crate::resolve::Direction;
use crate::subject::Subject;

/// A worker that has not been heard for longer is not counted as in service. The master asks for a heartbeat every
/// second.
const FRESH_CONTACT_SECONDS: u64 = 60;

/// What to do with a node on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is being drained, or another execution joins it: this join gives way.
    Superseded(String),
    /// Change it.
    Change(NodeChange),
    /// It is as it should be.
    Nothing,
}

/// Labels a node whose instance is launched. Where it is launched again, out of a warm pool, and no drain of it runs any
/// more, what its last drain has left on the node goes: the mark, and the cordon with it.
#[must_use]
pub fn label(node: &Node, subject: &Subject, drain_runs: bool) -> Step {
    if drain_runs || node.draining_since().is_none() || !launches(subject) {
        return label_unmarked(node, subject);
    }
    let mut unmarked = node.clone();
    unmarked.annotations.remove(names::DRAIN_SINCE_ANNOTATION);
    match label_unmarked(&unmarked, subject) {
        Step::Superseded(reason) => Step::Superseded(reason),
        Step::Nothing => Step::Change(undo_drain(node, NodeChange::default())),
        Step::Change(change) => Step::Change(undo_drain(node, change)),
    }
}

/// Whether the group launches the instance right now. An instance that a person has drained and kept is in service.
fn launches(subject: &Subject) -> bool {
    subject.hook.is_some() || subject.lifecycle_state == "Pending:Wait"
}

fn undo_drain(node: &Node, mut change: NodeChange) -> NodeChange {
    let undone = cordon::undo(node);
    change.uncordon = undone.uncordon;
    for (annotation, value) in undone.annotations {
        // The claim of the join stands there by now, or takes the place of the drain's.
        if annotation != names::EXECUTION_ANNOTATION {
            change.annotations.entry(annotation).or_insert(value);
        }
    }
    change
}

/// The labels that say what a node is. A place of Alluxio masters also gets what keeps Cluster Autoscaler from it: here,
/// as no manifest of ours places masters, and as it must stand before Cluster Autoscaler could take the new, still empty
/// node for one that nobody needs. What a drain that was undone has set to keep it away goes.
fn label_unmarked(node: &Node, subject: &Subject) -> Step {
    let labels = step(
        node,
        being_drained(node),
        [
            (names::INSTANCE_ID_LABEL, subject.instance_id.as_str()),
            (names::FAST_DISK_LABEL, fast_disk_node(subject.one_array)),
            (names::DISK_LAYOUT_LABEL, subject.disk_layout.as_str()),
        ],
    );
    let mut change = match labels {
        Step::Superseded(reason) => return Step::Superseded(reason),
        Step::Change(change) => change,
        Step::Nothing => NodeChange::default(),
    };
    change.release_scale_down(node);
    if node.has_label(names::MASTER_LABEL, names::TRUE) && !node.kept_from_scale_down() {
        change.annotations.insert(
            names::SCALE_DOWN_DISABLED_ANNOTATION,
            Some(names::TRUE.to_owned()),
        );
    }
    if change == NodeChange::default() {
        return Step::Nothing;
    }
    Step::Change(change)
}

/// The label that runs a worker on a node.
#[must_use]
pub fn pull_worker_lever(node: &Node, subject: &Subject, execution: &str) -> Step {
    match taken_over(node, execution, Direction::Join) {
        Some(reason) if being_drained(node).is_none() => Step::Superseded(reason),
        _ => lever(node, subject),
    }
}

/// The same before any execution has claimed the node.
#[must_use]
pub fn lever(node: &Node, subject: &Subject) -> Step {
    let label = (names::WORKER_LABEL, subject.disk_layout.as_str());
    step(node, being_drained(node), [label])
}

/// Why the label that runs a worker must stay as it is; none where it need not. Its change would end a worker of another
/// layout, and with the pod go the volumes of its cache: such a node is drained first.
#[must_use]
pub fn runs_another_layout(node: &Node, subject: &Subject, pods: &[Pod]) -> Option<String> {
    let layout = node.labels.get(names::WORKER_LABEL)?;
    let pod = pods.iter().find(|pod| !pod.finished)?;
    (layout != subject.disk_layout.as_str()).then(|| {
        format!(
            "pod {} on node {} is a worker of disk layout {layout}, the instance's disks are {}: drain the node first",
            pod.full_name(),
            node.name,
            subject.disk_layout.as_str()
        )
    })
}

/// Opens a node for work.
#[must_use]
pub fn open(node: &Node, execution: &str) -> Step {
    match superseded(node, execution) {
        Some(reason) => Step::Superseded(reason),
        None if node.startup_taint => Step::Change(NodeChange {
            remove_startup_taint: true,
            ..NodeChange::default()
        }),
        None => Step::Nothing,
    }
}

/// Why a join of that node, by that execution, gives way once it has claimed the node; none where it need not.
#[must_use]
pub fn superseded(node: &Node, execution: &str) -> Option<String> {
    being_drained(node).or_else(|| taken_over(node, execution, Direction::Join))
}

fn being_drained(node: &Node) -> Option<String> {
    node.draining_since()
        .map(|since| format!("node {} is being drained since {since}", node.name))
}

fn step<const N: usize>(node: &Node, gives_way: Option<String>, wanted: [(&'static str, &str); N]) -> Step {
    if let Some(reason) = gives_way {
        return Step::Superseded(reason);
    }
    let labels: BTreeMap<_, _> = wanted
        .into_iter()
        .filter(|(label, value)| !node.has_label(label, value))
        .map(|(label, value)| (label, Some(value.to_owned())))
        .collect();
    if labels.is_empty() {
        Step::Nothing
    } else {
        Step::Change(NodeChange {
            labels,
            ..NodeChange::default()
        })
    }
}

/// How the volumes of a node compare with its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumesSeen {
    /// Each disk is a volume.
    Complete,
    /// Some disk is no volume yet; says what is there.
    Missing(String),
    /// A volume is none of the disks: says which.
    Wrong(String),
}

/// Compares the volumes of a node with the disks of its instance type.
#[must_use]
pub fn volumes_seen(disks: &[Disk], volumes: &[Volume]) -> VolumesSeen {
    let mut unmatched = disks.to_vec();
    unmatched.sort_unstable();
    let (mut cleaned, mut new) = (0, 0);
    for volume in volumes
        .iter()
        .filter(|volume| volume.storage_class == names::FAST_DISKS_CLASS)
    {
        if !disks.iter().any(|disk| disk.fits_volume(volume.capacity_bytes)) {
            let sizes = disks
                .iter()
                .map(|disk| format!("{} GB", disk.size_gb))
                .collect::<Vec<_>>()
                .join(", ");
            return VolumesSeen::Wrong(format!(
                "volume {} has {} bytes, which is none of this instance type's disks ({sizes})",
                volume.name, volume.capacity_bytes
            ));
        }
        match volume.phase {
            VolumePhase::Available | VolumePhase::Bound => {
                if let Some(at) = unmatched
                    .iter()
                    .position(|disk| disk.fits_volume(volume.capacity_bytes))
                {
                    unmatched.remove(at);
                }
            }
            VolumePhase::Released | VolumePhase::Failed => cleaned += 1,
            VolumePhase::Pending => new += 1,
        }
    }
    if unmatched.is_empty() {
        return VolumesSeen::Complete;
    }
    let count = |number: u32, what: &str| {
        if number > 0 {
            format!(", {number} {what}")
        } else {
            String::new()
        }
    };
    VolumesSeen::Missing(format!(
        "{} of {} disks are volumes{}{}",
        disks.len() - unmatched.len(),
        disks.len(),
        count(cleaned, "being cleaned"),
        count(new, "published and not taken up by Kubernetes yet"),
    ))
}

/// Whether a missing volume is the disk's fault: the provisioner of this very node has been ready for so long that
/// it must have seen the disk (it looks every 10 s). Never where it has published a volume for each: one that stays
/// `Pending` waits for Kubernetes' own controllers, as every other node's would.
#[must_use]
pub fn disk_is_to_blame(
    disks: &[Disk],
    volumes: &[Volume],
    provisioner: Option<&Pod>,
    publish_limit_seconds: u32,
    now: Timestamp,
) -> bool {
    let published = volumes.iter().filter(|volume| {
        volume.phase != VolumePhase::Failed && volume.storage_class == names::FAST_DISKS_CLASS
    });
    if published.count() >= disks.len() {
        return false;
    }
    let limit = SignedDuration::from_secs(publish_limit_seconds.into());
    provisioner
        .filter(|pod| pod.ready)
        .and_then(|pod| pod.ready_since)
        .is_some_and(|since| now.duration_since(since) >= limit)
}

/// Where a worker is on its way into service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerSeen {
    /// It is in service with all its capacity.
    InService,
    /// Not yet, and why.
    NotYet(String),
    /// It is in service, and says that this node's storage is wrong.
    Unfit(String),
}

/// Judges a worker by its pod, and by what the master knows of it. A ready pod alone proves nothing: its probes
/// only open the port. An earlier worker on the same address is told apart by when the master last heard from it: it
/// ended before this pod began, while `startTimeMs` stays that of the address's first registration.
#[must_use]
pub fn worker_seen(
    pod: Option<&Pod>,
    worker: Option<&Worker>,
    lost_storage: &[String],
    disks: &[Disk],
    now: Timestamp,
) -> WorkerSeen {
    let Some(pod) = pod.filter(|pod| pod.deletion_time.is_none()) else {
        return WorkerSeen::NotYet("no worker pod on the node yet".to_owned());
    };
    if !pod.ready {
        let trouble = pod
            .trouble
            .as_deref()
            .map(|trouble| format!(": {trouble}"))
            .unwrap_or_default();
        return WorkerSeen::NotYet(format!("pod {} is not ready{trouble}", pod.full_name()));
    }
    let Some(worker) = worker else {
        return WorkerSeen::NotYet(format!(
            "pod {} is ready, its worker is not registered",
            pod.full_name()
        ));
    };
    let from_before_pod = pod.start_time.is_some_and(|start| {
        let pod_age_seconds = u64::try_from(now.duration_since(start).as_secs()).unwrap_or_default();
        worker.last_contact_seconds >= pod_age_seconds
    });
    if worker.state != WorkerState::Live
        || from_before_pod
        || worker.last_contact_seconds > FRESH_CONTACT_SECONDS
    {
        return WorkerSeen::NotYet(format!(
            "worker {} is registered as {:?}, last heard {} s ago{}",
            worker.host,
            worker.state,
            worker.last_contact_seconds,
            if from_before_pod {
                ": not since this pod started"
            } else {
                ""
            }
        ));
    }
    if !lost_storage.is_empty() {
        return WorkerSeen::Unfit(format!(
            "worker {} cannot use {}",
            worker.host,
            lost_storage.join(", ")
        ));
    }
    let expected = expected_cache_bytes(disks);
    if worker.capacity_bytes < expected {
        return WorkerSeen::Unfit(format!(
            "worker {} registered with {} bytes, its disks should give {expected}",
            worker.host, worker.capacity_bytes
        ));
    }
    WorkerSeen::InService
}

#[cfg(test)]
mod tests;
