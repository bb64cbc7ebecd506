//! Instances that wait, or were kept, with nothing running for them.

use super::finding::{Finding, Repair};
use super::kind::Kind;
use super::running::Busy;
use super::view::Instance;
use crate::resolve::Direction;

pub(super) fn find(kind: Kind, instances: &[Instance<'_>], busy: &Busy) -> Vec<Finding> {
    let (state, direction) = match kind {
        Kind::JoinStalled => ("Pending:Wait", Direction::Join),
        Kind::DrainStalled => ("Terminating:Wait", Direction::Drain),
        Kind::InstanceRetained => ("Terminating:Retained", Direction::Drain),
        _ => return Vec::new(),
    };
    let idle = |instance: &&Instance<'_>| {
        let works = match direction {
            Direction::Join => busy.works(instance.id()),
            // A join that still runs gives way by itself, and drains nothing.
            Direction::Drain => busy.drains(instance.id()),
        };
        works == Some(false)
    };
    let waiting = instances.iter().filter(|instance| instance.in_state(state));
    waiting
        .filter(idle)
        .map(|instance| {
            let seen = format!(
                "instance {} of group {} is {state}, and no execution works on it",
                instance.id(),
                instance.group.name
            );
            let repair = Repair::Execution {
                direction,
                instance: instance.id().to_owned(),
            };
            instance.finding(kind, seen, repair)
        })
        .collect()
}
