//! Nodes of instances that are there: what they carry, and what their drains left on them.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::finding::{Finding, Repair};
use super::kind::Kind;
use super::running::Busy;
use super::snapshot::{SeenNode, SeenPod, Snapshot};
use super::start::Start;
use super::view::{self, Instance};
use crate::cache::{Worker, WorkerState};
use crate::claim::Claim;
use crate::cordon::{cordoned_before, undo};
use crate::disks::{Disk, DiskLayout, expected_cache_bytes, fast_disk_node};
use crate::join::{VolumesSeen, volumes_seen};
use crate::names;
use crate::node::{Node, NodeChange, Volume};
use crate::resolve::Direction;

/// A worker that was not heard for longer is not counted as in service; the master expects one heartbeat a second.
const FRESH_CONTACT_SECONDS: u64 = 60;
/// What says that a node has disks.
const DISK_LABELS: [&str; 3] = [
    names::FAST_DISK_LABEL,
    names::DISK_LAYOUT_LABEL,
    names::WORKER_LABEL,
];

/// Each runs a worker on the node, the one with its cache on disks, the other in memory.
const LEVERS: [&str; 2] = [names::WORKER_LABEL, names::MEMORY_WORKER_LABEL];

/// What is judged together, for each node once.
pub(super) struct Nodes<'a> {
    snapshot: &'a Snapshot,
    busy: &'a Busy,
    now: Timestamp,
    volumes: HashMap<&'a str, Vec<&'a Volume>>,
    pods: HashMap<&'a str, &'a SeenPod>,
    workers: HashMap<&'a str, &'a Worker>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, busy: &'a Busy, now: Timestamp) -> Self {
        let pods = snapshot.pods.iter().flatten();
        Self {
            snapshot,
            busy,
            now,
            volumes: view::volumes(snapshot),
            pods: pods
                .filter(|pod| pod.worker && !pod.deleting)
                .filter_map(|pod| Some((pod.node.as_deref()?, pod)))
                .collect(),
            workers: view::workers(snapshot),
        }
    }

    pub(super) fn find(&self, kind: Kind, instances: &[Instance<'_>]) -> Vec<Finding> {
        let judged = |instance: &Instance<'_>| match (kind, instance.node) {
            (Kind::NodeIncomplete, node) => self.incomplete(instance, node),
            (Kind::DrainUncordoned, Some(node)) => self.uncordoned(instance, node),
            (Kind::CordonOrphaned, Some(node)) => self.cordoned(instance, node),
            (Kind::DrainedInService, Some(node)) => self.drained(instance, node),
            (Kind::WorkerRevived, Some(node)) => self.revived(instance, node),
            (Kind::DisksMislabelled, Some(node)) => self.mislabelled(instance, node),
            (Kind::WorkerShort, Some(node)) => self.short(instance, node),
            (Kind::WorkerUnseen, Some(node)) => self.unseen(instance, node),
            _ => None,
        };
        instances.iter().filter_map(judged).collect()
    }

    fn worker(&self, node: &SeenNode) -> Option<&'a Worker> {
        let host = node.node.internal_ip.as_deref()?;
        self.workers.get(host).copied()
    }

    fn in_service(&self, node: &SeenNode) -> bool {
        self.worker(node)
            .is_some_and(|worker| worker.state == WorkerState::Live)
    }

    /// Whether the instance carries a cache in service, and nothing works on it: what is not so is to be complete.
    fn settled(&self, instance: &Instance<'_>) -> bool {
        instance.in_state("InService") && self.busy.works(instance.id()) == Some(false)
    }

    fn carrying(&self, instance: &Instance<'_>, node: &SeenNode) -> bool {
        self.settled(instance) && node.node.ready && node.node.draining_since().is_none()
    }

    fn uncordoned(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        let since = node.node.draining_since()?;
        if node.node.unschedulable {
            return None;
        }
        let drains = self.busy.drains(instance.id())?;
        let state = &instance.member.lifecycle_state;
        let leaving = state.starts_with("Terminating") || state.starts_with("Warmed:Terminating");
        let seen = format!(
            "node {} is being drained since {since} and takes pods",
            node.node.name
        );
        let (seen, change, words) = if drains || leaving {
            let change = NodeChange {
                cordon: true,
                ..NodeChange::default()
            };
            (seen, change, "cordon")
        } else {
            let seen = format!("{seen}, and no drain goes on: the mark keeps every join away");
            (seen, undo(&node.node), "take the mark of the drain off")
        };
        Some(instance.finding(Kind::DrainUncordoned, seen, changes(node, change, words)))
    }

    fn cordoned(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        let since = node.node.draining_since()?;
        if !node.node.unschedulable || !self.settled(instance) || self.worker_is_gone(node) {
            return None;
        }
        let decommissioned = node.node.decommissioned_at().is_some();
        if self.in_service(node) && decommissioned {
            // It is worker-revived.
            return None;
        }
        let seen = format!(
            "node {} is cordoned for a drain since {since}, and no drain goes on",
            node.node.name
        );
        let (seen, repair) = if self.in_service(node) {
            let (seen, words) = if cordoned_before(&node.node) {
                (
                    format!("{seen}; its worker is in service, and it was cordoned before the drain"),
                    "take the mark of the drain off, leave the cordon on",
                )
            } else {
                (format!("{seen}; its worker is in service"), "uncordon")
            };
            (seen, changes(node, undo(&node.node), words))
        } else {
            (
                format!("{seen}; its worker is out of service already"),
                drain(instance, node),
            )
        };
        let mut finding = instance.finding(Kind::CordonOrphaned, seen, repair);
        finding.since = Some(since);
        Some(finding)
    }

    /// Whether a drain has come to its end: the label that ran the worker is off the node, and Alluxio does not have the
    /// worker in service.
    fn worker_is_gone(&self, node: &SeenNode) -> bool {
        let runs = LEVERS.iter().any(|lever| node.node.labels.contains_key(*lever));
        !runs && !self.in_service(node)
    }

    /// A drained node whose instance is still in service serves nobody. Its claim says what was to become of the instance.
    fn drained(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        const LEFT_ALONE: &str = "the instance is left in service";
        let since = node.node.draining_since()?;
        if !node.node.unschedulable || !self.settled(instance) || !self.worker_is_gone(node) {
            return None;
        }
        let claim = Claim::on(&node.node).filter(|claim| claim.direction == Direction::Drain);
        let (what, repair) = match claim {
            None => (
                "nothing on the node says whether it was to be ended",
                Repair::Nothing(
                    "end the instance, or take the annotation tidegate.dev/drain-since and the cordon off: then it joins again"
                        .into(),
                ),
            ),
            // Its hook was completed, and it is back: it went into the warm pool and came out of it.
            Some(claim) if claim.hook.is_some() => (
                "it has come back out of its group's warm pool",
                changes(node, undo(&node.node), "take the mark of the earlier drain off"),
            ),
            Some(claim) if claim.keeps_instance() => (
                "a person asked to keep it (\"terminate\": false)",
                Repair::Unneeded(format!(
                    "{LEFT_ALONE}; node-drain with {{\"instanceId\": \"{}\", \"terminate\": true}} ends it",
                    instance.id()
                )),
            ),
            Some(claim) if claim.reclaimed && self.now < claim.deadline => return None,
            Some(claim) if claim.terminate || claim.reclaimed => {
                ("it was to be ended", drain(instance, node))
            }
            Some(_) => (
                "its drain was not to end it",
                Repair::Unneeded(LEFT_ALONE.to_owned()),
            ),
        };
        let seen = format!(
            "node {} is drained since {since}, instance {} is still in service, and {what}",
            node.node.name,
            instance.id()
        );
        Some(instance.finding(Kind::DrainedInService, seen, repair))
    }

    fn revived(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        node.node.draining_since()?;
        let at = node.node.decommissioned_at()?;
        if !self.in_service(node) || self.busy.drains(instance.id())? {
            return None;
        }
        let seen = format!(
            "the worker of node {} was decommissioned at {at} and is in service again, and no drain goes on",
            node.node.name
        );
        Some(instance.finding(Kind::WorkerRevived, seen, drain(instance, node)))
    }

    fn mislabelled(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        if !self.settled(instance) || node.node.draining_since().is_some() {
            return None;
        }
        let disks = view::disks(self.snapshot, instance)?;
        let layout = DiskLayout::of(&disks);
        let one_array = instance.group.one_array;
        let told: Vec<_> = DISK_LABELS
            .into_iter()
            .filter_map(|label| Some((label, node.node.labels.get(label)?)))
            .filter(|(label, value)| {
                disks.is_empty() || value.as_str() != expected(label, &layout, one_array)
            })
            .collect();
        if told.is_empty() {
            return None;
        }
        let words: Vec<_> = told
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        let mut seen = format!(
            "node {} says {}; its type {} has {}",
            node.node.name,
            words.join(", "),
            instance.member.instance_type,
            if disks.is_empty() {
                "no local disks"
            } else {
                layout.as_str()
            }
        );
        let repair = if disks.is_empty() {
            let labels: BTreeMap<_, _> = told.iter().map(|(label, _)| (*label, None)).collect();
            let change = NodeChange {
                labels,
                ..NodeChange::default()
            };
            changes(node, change, "take the labels of disks off")
        } else if let Some(pod) = self.worker_of_another_layout(node, &layout) {
            // A join would change the label that runs this worker: its pod would go, and with it the volumes of its cache.
            seen = format!("{seen}; worker {pod} runs with the other layout, and its cache goes with it");
            drain(instance, node)
        } else {
            join(instance)
        };
        Some(instance.finding(Kind::DisksMislabelled, seen, repair))
    }

    /// The pod of a worker that runs because the node's label names another layout than that of its disks.
    fn worker_of_another_layout(&self, node: &SeenNode, layout: &DiskLayout) -> Option<&'a str> {
        node.node
            .labels
            .get(names::WORKER_LABEL)
            .filter(|label| *label != layout.as_str())?;
        let pod = self.pods.get(node.node.name.as_str())?;
        Some(pod.name.as_str())
    }

    fn incomplete(&self, instance: &Instance<'_>, node: Option<&SeenNode>) -> Option<Finding> {
        if !self.settled(instance) {
            return None;
        }
        let disks = view::disks(self.snapshot, instance)?;
        let Some(node) = node else {
            let seen = format!(
                "instance {} of group {} is in service, and no node",
                instance.id(),
                instance.group.name
            );
            let repair =
                Repair::Nothing("end the instance, or find out why its kubelet does not join".into());
            return Some(instance.finding(Kind::NodeIncomplete, seen, repair));
        };
        if disks.is_empty() || !self.carrying(instance, node) {
            return None;
        }
        let missing = self.missing(instance, node, &disks);
        if missing.is_empty() {
            return None;
        }
        let seen = format!("node {}: {}", node.node.name, missing.join(", "));
        let mut finding = instance.finding(Kind::NodeIncomplete, seen, join(instance));
        // The taint goes last: while it is there the node has never been complete.
        finding.since = node.ready_since.filter(|_| node.node.startup_taint);
        Some(finding)
    }

    fn missing(&self, instance: &Instance<'_>, node: &SeenNode, disks: &[Disk]) -> Vec<String> {
        let labels = &node.node.labels;
        let mut missing = Vec::new();
        for label in [names::INSTANCE_ID_LABEL].into_iter().chain(DISK_LABELS) {
            if !labels.contains_key(label) {
                missing.push(format!("no label {label}"));
            }
        }
        if labels
            .get(names::INSTANCE_ID_LABEL)
            .is_some_and(|id| id != instance.id())
        {
            missing.push("the label of another instance".to_owned());
        }
        let volumes: Vec<_> = self
            .volumes
            .get(instance.id())
            .into_iter()
            .flatten()
            .map(|volume| (*volume).clone())
            .collect();
        match volumes_seen(disks, &volumes) {
            VolumesSeen::Complete => {}
            VolumesSeen::Missing(what) | VolumesSeen::Wrong(what) => missing.push(what),
        }
        if !self.pods.contains_key(node.node.name.as_str()) {
            missing.push("no worker pod".to_owned());
        }
        if node.node.startup_taint {
            missing.push("the startup taint".to_owned());
        }
        missing
    }

    fn short(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        let disks = view::disks(self.snapshot, instance).filter(|disks| !disks.is_empty())?;
        let worker = self.worker(node)?;
        if !self.carrying(instance, node) || worker.state != WorkerState::Live {
            return None;
        }
        let lost = self
            .snapshot
            .workers
            .as_ref()
            .ok()
            .and_then(|workers| workers.lost_storage.get(&worker.host));
        let expected = expected_cache_bytes(&disks);
        let what = match lost {
            Some(lost) => format!("lost {}", lost.join(", ")),
            None if worker.capacity_bytes < expected => format!(
                "has {} bytes, its disks should give {expected}",
                worker.capacity_bytes
            ),
            None => return None,
        };
        let seen = format!("worker {} of node {} {what}", worker.host, node.node.name);
        Some(instance.finding(Kind::WorkerShort, seen, drain(instance, node)))
    }

    fn unseen(&self, instance: &Instance<'_>, node: &SeenNode) -> Option<Finding> {
        if !self.carrying(instance, node) {
            return None;
        }
        let pod = self.pods.get(node.node.name.as_str())?;
        let what = match self.worker(node) {
            Some(worker)
                if worker.state == WorkerState::Live
                    && worker.last_contact_seconds <= FRESH_CONTACT_SECONDS =>
            {
                return None;
            }
            Some(worker) => format!(
                "Alluxio has its worker as {:?}, last heard {} s ago",
                worker.state, worker.last_contact_seconds
            ),
            None => "Alluxio knows no worker there".to_owned(),
        };
        let ready = match pod.ready_since {
            Some(since) => format!("ready since {since}"),
            None => "not ready".to_owned(),
        };
        let seen = format!(
            "pod {} of node {} is {ready}, and {what}",
            pod.name, node.node.name
        );
        Some(instance.finding(Kind::WorkerUnseen, seen, join(instance)))
    }
}

/// What of a node a change was decided on, where that is no longer so. Its version is not among it: that moves with each
/// heartbeat of its kubelet.
#[must_use]
pub fn changed_since(judged: &Node, now: &Node) -> Option<&'static str> {
    if now.uid != judged.uid {
        Some("it is another node of that name")
    } else if now.labels != judged.labels {
        Some("its labels have changed")
    } else if now.annotations != judged.annotations {
        Some("its annotations have changed")
    } else if now.unschedulable != judged.unschedulable {
        Some("its cordon has changed")
    } else {
        None
    }
}

fn expected<'a>(label: &str, layout: &'a DiskLayout, one_array: bool) -> &'a str {
    if label == names::FAST_DISK_LABEL {
        fast_disk_node(one_array)
    } else {
        layout.as_str()
    }
}

fn changes(node: &SeenNode, change: NodeChange, words: &'static str) -> Repair {
    Repair::ChangeNode {
        node: Box::new(node.node.clone()),
        change,
        words,
    }
}

fn join(instance: &Instance<'_>) -> Repair {
    Repair::Execution(Start::of(Direction::Join, instance.id()))
}

/// A drain that ends the instance, unless a person asked an earlier drain of the node to keep it.
fn drain(instance: &Instance<'_>, node: &SeenNode) -> Repair {
    Repair::Execution(Start {
        keeps_instance: Claim::on(&node.node).is_some_and(|claim| claim.keeps_instance()),
        ..Start::of(Direction::Drain, instance.id())
    })
}
