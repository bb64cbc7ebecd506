use std::fmt;

use jiff::Timestamp;

use super::kind::Kind;
use super::start::Start;
use crate::cache::Worker;
use crate::node::{Node, NodeChange, Volume};
use crate::ports::GroupHook;
use crate::resolve::Direction;

/// Something that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// What it is about: an instance id, or the name of an object.
    pub subject: String,
    /// What was seen, in words for a person on call.
    pub seen: String,
    /// Since when, where the world itself tells.
    pub since: Option<Timestamp>,
    /// What it belongs to: whose share of repairs is spent on it.
    pub about: About,
    /// What would set it right.
    pub repair: Repair,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An instance, and its node where it is one.
    Instance {
        /// Its group.
        group: String,
        /// The instance.
        instance: String,
    },
    /// An instance that waits for a hook of ours, or was retained.
    Waiting {
        /// Its group.
        group: String,
        /// The instance.
        instance: String,
        /// After how long without a heartbeat the hook runs out, where the group has it.
        heartbeat_seconds: Option<u32>,
    },
    /// Something that a node has left behind.
    Remains,
    /// A setting of a group, the account or the cluster: no node is touched.
    Setting,
}

/// What would set it right.
#[derive(Clone, Debug, PartialEq)]
pub enum Repair {
    /// An execution of node-join or node-drain.
    Execution(Start),
    /// A small change of a node; none where what it was decided on is no longer so ([`super::changed_since`]).
    ChangeNode {
        /// The node as it was seen.
        node: Box<Node>,
        /// The change.
        change: NodeChange,
        /// The change in words.
        words: &'static str,
    },
    /// The volume is deleted, once both names of its node are known to be gone.
    DeleteOrphan(Volume),
    /// The volume is deleted: its provisioner publishes the disk again.
    DeleteReleased(Volume),
    /// The master is told to forget the worker.
    ForgetWorker(Worker),
    /// The hook is put.
    PutHook {
        /// On which group.
        group: String,
        /// As it must be.
        hook: GroupHook,
    },
    /// The group is told to keep instances whose drain failed.
    Retain(String),
    /// The rule is enabled.
    EnableRule(String),
    /// The object is applied as the record of the manifests has it.
    Apply(Box<serde_json::Value>),
    /// Nothing of ours sets it right; says who or what does.
    Nothing(String),
    /// There is nothing to set right: it is told once, as somebody may want to know of it. Says why.
    Unneeded(String),
}

impl Repair {
    /// Whether there is one.
    #[must_use]
    pub const fn is_possible(&self) -> bool {
        !matches!(self, Self::Nothing(_) | Self::Unneeded(_))
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution(start) => {
                let machine = match start.direction {
                    Direction::Join => "node-join",
                    Direction::Drain => "node-drain",
                };
                write!(formatter, "{machine} for {}", start.instance)
            }
            Self::ChangeNode { node, words, .. } => write!(formatter, "{words} node {}", node.name),
            Self::DeleteOrphan(volume) | Self::DeleteReleased(volume) => {
                write!(formatter, "delete volume {}", volume.name)
            }
            Self::ForgetWorker(worker) => write!(formatter, "have Alluxio forget worker {}", worker.host),
            Self::PutHook { group, hook } => write!(formatter, "put hook {} on group {group}", hook.name),
            Self::Retain(group) => write!(formatter, "have group {group} retain abandoned instances"),
            Self::EnableRule(name) => write!(formatter, "enable rule {name}"),
            Self::Apply(object) => write!(
                formatter,
                "apply {} {}",
                object["kind"].as_str().unwrap_or_default(),
                object["metadata"]["name"].as_str().unwrap_or_default()
            ),
            Self::Nothing(why) | Self::Unneeded(why) => formatter.write_str(why),
        }
    }
}
