//! What is differs from what should be: found by pure functions over a [`Snapshot`], and which of it is repaired now.
//!
//! The way of a check: [`judge`] finds; [`Memory`] says since when and how often each was seen; [`choose`] says what
//! is repaired in this check and why the rest is not; [`Report`] tells it.

mod attempts;
mod choose;
mod finding;
mod instances;
mod judge;
mod kind;
mod manifests;
mod memory;
mod nodes;
mod ports;
mod report;
mod request;
mod running;
mod settings;
mod snapshot;
mod start;
mod storage;
mod view;
mod workers;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod cases_claims;
#[cfg(test)]
mod cases_drained;
#[cfg(test)]
mod cases_left;
#[cfg(test)]
mod cases_waiting;
#[cfg(test)]
mod fixtures;

pub use attempts::{Attempt, Attempts, Next, Search, execution_name};
pub use choose::{Budget, Choice, Looks, choose};
pub use finding::{About, Finding, Repair};
pub use judge::{Judgement, Scope, Unseen, judge};
pub use kind::Kind;
pub use manifests::{Manifest, Manifests, difference};
pub use memory::{Known, Memory, Told};
pub use nodes::changed_since;
pub use ports::{ClusterView, ExecutionsView, GroupsView, LifecycleActions, WorkersView};
pub use report::{Report, Row, Talk};
pub use request::Request;
pub(crate) use running::named as instance_named;
pub use running::{MOST_DESCRIBED, unattributed};
pub use settings::of_groups;
pub use snapshot::{
    Executions, FailedExecution, Group, Member, OwnerPod, Rule, Rules, RunningExecution, Seen, SeenClaim,
    SeenNode, SeenPod, SeenVolume, Snapshot, Subjects, Workers,
};
pub use start::{Start, WaitingHook};
pub use storage::node_of;
