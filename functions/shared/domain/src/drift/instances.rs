//! Instances that wait, or were retained, with nothing running for them.

use super::finding::{Finding, Repair};
use super::judge::Scope;
use super::kind::Kind;
use super::running::Busy;
use super::start::{Start, WaitingHook};
use super::view::Instance;
use crate::names;
use crate::resolve::Direction;

pub(super) fn find(kind: Kind, instances: &[Instance<'_>], busy: &Busy, scope: &Scope) -> Vec<Finding> {
    let direction = match kind {
        Kind::JoinStalled => Direction::Join,
        _ => Direction::Drain,
    };
    let idle = |instance: &&Instance<'_>| {
        let works = match direction {
            Direction::Join => busy.works(instance.id()),
            // A join that still runs gives way by itself, and drains nothing.
            Direction::Drain => busy.drains(instance.id()),
        };
        works == Some(false)
    };
    let waiting = instances
        .iter()
        .filter(|instance| kind_of(instance) == Some(kind));
    waiting
        .filter(idle)
        .map(|instance| {
            let seen = format!(
                "instance {} of group {} is {}, and no execution works on it",
                instance.id(),
                instance.group.name,
                instance.member.lifecycle_state
            );
            let start = Start {
                only_while: only_while(kind, instance, scope),
                ..Start::of(direction, instance.id())
            };
            let mut finding = instance.finding(kind, seen, Repair::Execution(start));
            finding.about = instance.waiting(scope.hook(direction));
            finding
        })
        .collect()
}

/// What is wrong with an instance that waits, or was retained, while nothing works on it. In a warm pool the states
/// have a prefix: <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Instance.html>.
fn kind_of(instance: &Instance<'_>) -> Option<Kind> {
    let state = instance.member.lifecycle_state.as_str();
    match state.strip_prefix("Warmed:").unwrap_or(state) {
        // Either hook may wait there: that of the launch, or that of an instance that goes back into the pool. The latter
        // has joined before.
        "Pending:Wait" if state.starts_with("Warmed:") && has_worker(instance) => Some(Kind::DrainStalled),
        "Pending:Wait" => Some(Kind::JoinStalled),
        "Terminating:Wait" => Some(Kind::DrainStalled),
        "Pending:Retained" | "Terminating:Retained" => Some(Kind::InstanceRetained),
        _ => None,
    }
}

fn has_worker(instance: &Instance<'_>) -> bool {
    let levers = [names::WORKER_LABEL, names::MEMORY_WORKER_LABEL];
    instance
        .node
        .is_some_and(|node| levers.iter().any(|lever| node.node.labels.contains_key(*lever)))
}

/// The hook without which there is nothing to do. Several hooks of a group wait side by side, and an instance stays in
/// its state until the last one is completed: only Auto Scaling knows whether ours is among those. A worker that is still
/// there is drained whoever holds its instance.
fn only_while(kind: Kind, instance: &Instance<'_>, scope: &Scope) -> Option<WaitingHook> {
    let direction = match kind {
        Kind::JoinStalled => Direction::Join,
        Kind::DrainStalled if !has_worker(instance) => Direction::Drain,
        _ => return None,
    };
    Some(WaitingHook {
        group: instance.group.name.clone(),
        name: scope.hook(direction).to_owned(),
    })
}
