//! What an execution would do, said beforehand: by the same decisions, and with nothing changed.
//!
//! A plan is made of what is there now. What stands in the way is what would hold an execution up or make it give way;
//! whatever waits by nature, such as a disk that is still to be published, does not.

#![allow(async_fn_in_trait)]

use jiff::Timestamp;
use serde::Serialize;

use crate::cache::{Worker, WorkerState};
use crate::claim::{Claim, Decision, decide};
use crate::cordon;
use crate::disks::Disk;
use crate::error::Result;
use crate::evict::{Fate, fate};
use crate::join::{self, Step, VolumesSeen, volumes_seen};
use crate::node::{ClaimRef, Node, NodeChange, Pod, Volume};
use crate::ports::Eviction;
use crate::retire::{ClaimFate, VolumeFate, pull_levers, volume_fate};
use crate::subject::Subject;

/// So many pods, volumes or files are named; all are counted.
const MOST_NAMED: usize = 20;

/// Evictions on trial.
pub trait EvictionTrial {
    /// What the API server would say to an eviction of exactly this pod. Nothing is evicted, so each pod is judged as if
    /// it were the only one.
    async fn try_evict(&self, pod: &Pod) -> Result<Eviction>;
}

/// What one step would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What would be done, a sentence for each.
    pub would: Vec<String>,
    /// What stands in the way.
    pub in_the_way: Vec<String>,
    /// Why there is nothing to do.
    #[serde(skip)]
    note: Option<String>,
}

impl Plan {
    /// The same with that to do.
    #[must_use]
    pub fn doing(mut self, what: impl Into<String>) -> Self {
        self.would.push(what.into());
        self
    }

    /// The same with that in the way.
    #[must_use]
    pub fn hindered(mut self, by: impl Into<String>) -> Self {
        self.in_the_way.push(by.into());
        self
    }

    /// The same with the reason why there is nothing to do.
    #[must_use]
    pub fn noting(mut self, why: impl Into<String>) -> Self {
        self.note = Some(why.into());
        self
    }

    /// The plan in one sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let would = match self.would.as_slice() {
            [] => match &self.note {
                Some(why) => format!("nothing to do: {why}"),
                None => "nothing to do".to_owned(),
            },
            would => format!("would {}", would.join("; ")),
        };
        match self.in_the_way.as_slice() {
            [] => would,
            hindrances => format!("{would}; in the way: {}", hindrances.join("; ")),
        }
    }

    fn change(self, node: &Node, change: &NodeChange) -> Self {
        let mut parts = Vec::new();
        for (kind, values) in [("label", &change.labels), ("annotation", &change.annotations)] {
            for (name, value) in values {
                parts.push(match value {
                    Some(value) => format!("set {kind} {name}={value}"),
                    None => format!("take {kind} {name} off"),
                });
            }
        }
        if change.cordon && !node.unschedulable {
            parts.push("cordon it".to_owned());
        }
        if change.remove_startup_taint {
            parts.push("take the startup taint off".to_owned());
        }
        if parts.is_empty() {
            return self;
        }
        self.doing(format!("on node {}: {}", node.name, parts.join(", ")))
    }

    fn step(self, node: &Node, step: Step) -> Self {
        match step {
            Step::Superseded(reason) => self.hindered(reason),
            Step::Change(change) => self.change(node, &change),
            Step::Nothing => self,
        }
    }
}

/// A list with its first few entries.
fn few(names: &[String]) -> String {
    let first = names
        .iter()
        .take(MOST_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(MOST_NAMED) {
        Some(more) if more > 0 => format!("{first} and {more} more"),
        _ => first,
    }
}

fn claim(plan: Plan, mine: Claim, other: Option<&Claim>, other_runs: bool) -> Plan {
    match decide(mine, other, other_runs) {
        Decision::GiveWay(reason) => plan.hindered(reason),
        Decision::Take(_) => match other.filter(|_| other_runs) {
            Some(other) => plan.doing(format!("take the node over from execution {}", other.execution)),
            None => plan,
        },
        Decision::Hold(_) => plan,
    }
}

/// `label-node`. `other_runs` is about the execution of the claim that stands on the node.
#[must_use]
pub fn label(node: Option<&Node>, subject: &Subject, mine: Claim, other_runs: bool) -> Plan {
    let Some(node) = node else {
        return Plan::default().doing(format!(
            "wait for instance {} to become a node, and label it",
            subject.instance_id
        ));
    };
    let other = Claim::on(node);
    let drain_runs = other_runs && other.as_ref().is_some_and(Claim::drains);
    let plan = Plan::default().step(node, join::label(node, subject, drain_runs));
    claim(plan, mine, other.as_ref(), other_runs)
}

/// `provision-volumes`.
#[must_use]
pub fn provision(disks: &[Disk], volumes: &[Volume]) -> Plan {
    match volumes_seen(disks, volumes) {
        VolumesSeen::Complete => Plan::default(),
        VolumesSeen::Missing(missing) => {
            Plan::default().doing(format!("wait until each disk is a volume ({missing})"))
        }
        VolumesSeen::Wrong(reason) => Plan::default().hindered(reason),
    }
}

/// `schedule-worker`. `worker` is what the master knows under the node's address.
#[must_use]
pub fn schedule(node: Option<&Node>, subject: &Subject, daemon_set: bool, worker: Option<&Worker>) -> Plan {
    let layout = subject.disk_layout.as_str();
    let mut plan = match node {
        Some(node) => Plan::default().step(node, join::lever(node, subject)),
        None => Plan::default(),
    };
    if !daemon_set {
        plan = plan.hindered(format!("no DaemonSet runs workers for disk layout {layout}"));
    }
    if worker.is_none_or(|worker| worker.state != WorkerState::Live) {
        plan = plan.doing("wait until its worker is in service");
    }
    if node.is_none_or(|node| node.startup_taint) {
        plan = plan.doing("open the node for work");
    }
    plan
}

/// `cordon-node`.
#[must_use]
pub fn cordon(node: Option<&Node>, mine: Claim, other_runs: bool, now: Timestamp) -> Plan {
    let Some(node) = node else { return Plan::default() };
    let plan = match cordon::cordon(node, now) {
        Some(change) => Plan::default().change(node, &change),
        None => Plan::default(),
    };
    claim(plan, mine, Claim::on(node).as_ref(), other_runs)
}

/// The pods that would be evicted.
#[must_use]
pub fn leaving<'a>(pods: &'a [Pod], node: &Node, now: Timestamp) -> Vec<&'a Pod> {
    let leaves = |pod: &&Pod| fate(pod, node, now) == Fate::Leaves;
    pods.iter().filter(leaves).collect()
}

/// `evict-pods`, with what the API server would say to each eviction.
#[must_use]
pub fn evict(trials: &[(&Pod, Eviction)]) -> Plan {
    let mut plan = Plan::default();
    if !trials.is_empty() {
        let names: Vec<_> = trials.iter().map(|(pod, _)| pod.full_name()).collect();
        plan = plan.doing(format!("evict {} pods: {}", names.len(), few(&names)));
    }
    let blocked: Vec<_> = trials
        .iter()
        .filter_map(|(pod, answer)| match answer {
            Eviction::Accepted if pod.past_cordon.is_some() => Some(format!(
                "pod {}: it takes no notice of a cordon; if it comes back, it is not waited for",
                pod.full_name()
            )),
            Eviction::Accepted => None,
            Eviction::Blocked(budget) => Some(format!("pod {}: {budget}", pod.full_name())),
            Eviction::Refused(refusal) => Some(format!("pod {}: {}", pod.full_name(), refusal.words)),
            Eviction::Throttled => Some(format!(
                "pod {}: the API server is throttling, it could not be tried",
                pod.full_name()
            )),
        })
        .collect();
    let more = blocked.len().saturating_sub(MOST_NAMED);
    plan.in_the_way.extend(blocked.into_iter().take(MOST_NAMED));
    if more > 0 {
        plan = plan.hindered(format!("{more} more pods that may not be evicted now"));
    }
    plan
}

/// `retire-worker`. `claims` says what becomes of each claim that a volume of the node is bound to.
#[must_use]
pub fn retire(node: Option<&Node>, volumes: &[Volume], claims: &[(ClaimRef, ClaimFate)]) -> Plan {
    let Some(node) = node else { return Plan::default() };
    let mut plan = match pull_levers(node) {
        Some(change) => Plan::default().change(node, &change),
        None => Plan::default(),
    };
    let mut deleted = Vec::new();
    for volume in volumes {
        match volume_fate(volume, node) {
            VolumeFate::Delete => deleted.push(volume.name.clone()),
            VolumeFate::Bound(claim) => {
                let found = claims.iter().find(|(known, _)| *known == claim);
                match found.map(|(_, fate)| fate) {
                    Some(ClaimFate::Foreign(reason)) => {
                        plan = plan.hindered(format!("{reason}: left alone, with volume {}", volume.name));
                    }
                    _ => deleted.push(format!("{} with claim {}", volume.name, claim.full_name())),
                }
            }
            VolumeFate::Foreign(reason) => plan = plan.hindered(format!("{reason}: left alone")),
        }
    }
    if !deleted.is_empty() {
        plan = plan.doing(format!("delete {} volumes: {}", deleted.len(), few(&deleted)));
    }
    plan
}

#[cfg(test)]
mod tests;
