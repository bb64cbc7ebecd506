//! What differs, in what could be seen.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::finding::Finding;
use super::kind::Kind;
use super::nodes::Nodes;
use super::running::Busy;
use super::snapshot::Snapshot;
use super::{instances, settings, storage, view, workers};
use crate::resolve::Direction;

/// What is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The name of our launch hook.
    pub join_hook: String,
    /// The name of our terminate hook.
    pub drain_hook: String,
    /// Where the workers run.
    pub namespace: String,
}

impl Scope {
    /// The name of our hook about that transition.
    pub(super) fn hook(&self, direction: Direction) -> &str {
        match direction {
            Direction::Join => &self.join_hook,
            Direction::Drain => &self.drain_hook,
        }
    }
}

/// What was found, and what could not be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What differs.
    pub findings: Vec<Finding>,
    /// The kinds that were judged.
    pub judged: BTreeSet<Kind>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// Something that could not be seen, and what was not judged for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// What.
    pub what: &'static str,
    /// Why.
    pub why: String,
    /// What was not judged.
    pub kinds: Vec<Kind>,
}

/// A part of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Groups,
    Nodes,
    Volumes,
    Claims,
    Pods,
    Workers,
    Executions,
    Rules,
    Manifests,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Groups,
        Self::Nodes,
        Self::Volumes,
        Self::Claims,
        Self::Pods,
        Self::Workers,
        Self::Executions,
        Self::Rules,
        Self::Manifests,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Nodes => "nodes",
            Self::Volumes => "volumes",
            Self::Claims => "claims",
            Self::Pods => "pods",
            Self::Workers => "workers",
            Self::Executions => "executions",
            Self::Rules => "rules",
            Self::Manifests => "manifests",
        }
    }

    /// Why it could not be seen; none where it was.
    fn unseen(self, snapshot: &Snapshot) -> Option<&str> {
        match self {
            Self::Groups => why(&snapshot.groups),
            Self::Nodes => why(&snapshot.nodes),
            Self::Volumes => why(&snapshot.volumes),
            Self::Claims => why(&snapshot.claims),
            Self::Pods => why(&snapshot.pods),
            Self::Workers => why(&snapshot.workers),
            Self::Executions => why(&snapshot.executions),
            Self::Rules => why(&snapshot.rules),
            Self::Manifests => why(&snapshot.manifests),
        }
    }
}

fn why<T>(seen: &super::Seen<T>) -> Option<&str> {
    seen.as_ref().err().map(String::as_str)
}

/// What must have been seen before a kind is judged.
const fn needs(kind: Kind) -> &'static [Part] {
    use Part::{Claims, Executions, Groups, Manifests, Nodes, Pods, Rules, Volumes, Workers};
    match kind {
        Kind::DrainStalled | Kind::InstanceRetained | Kind::JoinStalled => &[Groups, Executions],
        Kind::DrainUncordoned => &[Groups, Nodes, Executions],
        Kind::DisksMislabelled => &[Groups, Nodes, Executions, Pods],
        Kind::CordonOrphaned | Kind::DrainedInService | Kind::WorkerRevived | Kind::WorkerShort => {
            &[Groups, Nodes, Executions, Workers]
        }
        Kind::NodeIncomplete => &[Groups, Nodes, Executions, Volumes, Pods],
        Kind::WorkerUnseen => &[Groups, Nodes, Executions, Pods, Workers],
        Kind::WorkerForgotten => &[Nodes, Workers],
        Kind::VolumeOrphaned => &[Groups, Nodes, Volumes, Claims],
        Kind::VolumeReleased => &[Groups, Nodes, Executions, Volumes, Claims],
        Kind::ClaimOrphaned => &[Claims, Pods],
        Kind::HookDrifted | Kind::RetentionDrifted => &[Groups],
        Kind::RuleDisabled => &[Rules],
        Kind::ManifestDrifted => &[Manifests],
        Kind::ExecutionFailed => &[Executions],
    }
}

/// Finds what differs.
#[must_use]
pub fn judge(snapshot: &Snapshot, scope: &Scope, now: Timestamp) -> Judgement {
    let mut judgement = Judgement::default();
    for part in Part::ALL {
        if let Some(why) = part.unseen(snapshot) {
            let blind = |kind: &&Kind| needs(**kind).contains(&part);
            judgement.unseen.push(Unseen {
                what: part.word(),
                why: why.to_owned(),
                kinds: Kind::ALL.iter().filter(blind).copied().collect(),
            });
        }
    }
    let nodes = snapshot.nodes.as_deref().unwrap_or_default();
    let busy = match &snapshot.executions {
        Ok(executions) => Busy::of(executions, nodes),
        Err(_) => Busy::default(),
    };
    let instances = view::instances(snapshot);
    let by_node = Nodes::new(snapshot, &busy, now);
    for kind in Kind::ALL.iter().copied() {
        if needs(kind).iter().any(|part| part.unseen(snapshot).is_some()) {
            continue;
        }
        judgement.judged.insert(kind);
        let groups = snapshot.groups.as_deref().unwrap_or_default();
        let volumes = snapshot.volumes.as_deref().unwrap_or_default();
        let claims = snapshot.claims.as_deref().unwrap_or_default();
        judgement.findings.extend(match kind {
            Kind::DrainStalled | Kind::InstanceRetained | Kind::JoinStalled => {
                instances::find(kind, &instances, &busy, scope)
            }
            Kind::DrainUncordoned
            | Kind::CordonOrphaned
            | Kind::DrainedInService
            | Kind::WorkerRevived
            | Kind::DisksMislabelled
            | Kind::NodeIncomplete
            | Kind::WorkerShort
            | Kind::WorkerUnseen => by_node.find(kind, &instances),
            Kind::WorkerForgotten => snapshot
                .workers
                .iter()
                .flat_map(|workers| workers::find(workers, nodes))
                .collect(),
            Kind::VolumeOrphaned => storage::orphaned(groups, nodes, volumes, claims, &scope.namespace),
            Kind::VolumeReleased => storage::released(&instances, &busy, volumes, claims, &scope.namespace),
            Kind::ClaimOrphaned => storage::unclaimed(claims, snapshot.pods.as_deref().unwrap_or_default()),
            Kind::HookDrifted => settings::hooks(groups, &scope.join_hook, &scope.drain_hook),
            Kind::RetentionDrifted => settings::retention(groups),
            Kind::RuleDisabled => snapshot.rules.iter().flat_map(settings::rules).collect(),
            Kind::ManifestDrifted => snapshot.manifests.iter().flat_map(settings::manifests).collect(),
            Kind::ExecutionFailed => snapshot
                .executions
                .iter()
                .flat_map(|executions| settings::failed(&executions.failed))
                .collect(),
        });
    }
    if busy.strangers() > 0 {
        judgement.unseen.push(Unseen {
            what: "executions",
            why: format!(
                "{} run of which it is not known what they are about: no instance without a known one is judged",
                busy.strangers()
            ),
            kinds: Vec::new(),
        });
    }
    judgement
}
