//! The snapshot by what its parts have in common, so that a check of 5,000 nodes looks at each thing once.

use std::collections::HashMap;

use super::finding::{About, Finding, Repair};
use super::kind::Kind;
use super::snapshot::{Group, Member, SeenNode, Snapshot};
use crate::cache::{Worker, WorkerState};
use crate::disks::{Disk, as_set_up};
use crate::node::Volume;

/// An instance of a group, with its node where it is one.
pub(super) struct Instance<'a> {
    pub(super) group: &'a Group,
    pub(super) member: &'a Member,
    pub(super) node: Option<&'a SeenNode>,
}

impl<'a> Instance<'a> {
    pub(super) fn id(&self) -> &'a str {
        &self.member.instance
    }

    pub(super) fn in_state(&self, state: &str) -> bool {
        self.member.lifecycle_state == state
    }

    /// A finding about this instance.
    pub(super) fn finding(&self, kind: Kind, seen: String, repair: Repair) -> Finding {
        Finding {
            kind,
            subject: self.id().to_owned(),
            seen,
            since: None,
            about: About::Instance {
                group: self.group.name.clone(),
                instance: self.id().to_owned(),
            },
            repair,
        }
    }
}

impl Instance<'_> {
    /// What a finding about this instance is about while it waits for that hook.
    pub(super) fn waiting(&self, hook: &str) -> About {
        let hook = self.group.hooks.iter().find(|found| found.name == hook);
        About::Waiting {
            group: self.group.name.clone(),
            instance: self.id().to_owned(),
            heartbeat_seconds: hook.map(|hook| hook.heartbeat_seconds),
        }
    }
}

/// All instances of all groups.
pub(super) fn instances(snapshot: &Snapshot) -> Vec<Instance<'_>> {
    let nodes: HashMap<_, _> = snapshot
        .nodes
        .iter()
        .flatten()
        .filter_map(|node| Some((node.instance()?, node)))
        .collect();
    let groups = snapshot.groups.iter().flatten();
    groups
        .flat_map(|group| group.members.iter().map(move |member| (group, member)))
        .map(|(group, member)| Instance {
            group,
            member,
            node: nodes.get(member.instance.as_str()).copied(),
        })
        .collect()
}

/// The volumes by the instance that their label names.
pub(super) fn volumes(snapshot: &Snapshot) -> HashMap<&str, Vec<&Volume>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for seen in snapshot.volumes.iter().flatten() {
        found
            .entry(seen.instance.as_str())
            .or_default()
            .push(&seen.volume);
    }
    found
}

/// The workers by their host. Of two with one host the one in service counts.
pub(super) fn workers(snapshot: &Snapshot) -> HashMap<&str, &Worker> {
    let mut found: HashMap<&str, &Worker> = HashMap::new();
    for worker in snapshot.workers.iter().flat_map(|workers| &workers.all) {
        let known = found.entry(&worker.host).or_insert(worker);
        if worker.state == WorkerState::Live {
            *known = worker;
        }
    }
    found
}

/// The disks of an instance, as they are set up; none where its type could not be asked for.
pub(super) fn disks(snapshot: &Snapshot, instance: &Instance<'_>) -> Option<Vec<Disk>> {
    let disks = snapshot.disks.get(&instance.member.instance_type)?;
    Some(as_set_up(disks.clone(), instance.group.one_array))
}
