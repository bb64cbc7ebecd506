//! Who an execution is about, and whether it is ours.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deadline::deadline;
use crate::disks::{Disk, DiskLayout};
use crate::outcome::ResolveOutcome;
use crate::ports::{GroupHook, Membership};
use crate::subject::{Hook, InstanceId, Subject};

/// Which way the node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It joins.
    Join,
    /// It leaves.
    Drain,
}

impl Direction {
    /// The direction, as state machines and their names spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Drain => "drain",
        }
    }

    /// The lifecycle transition of that direction, as Auto Scaling spells it.
    #[must_use]
    pub const fn transition(self) -> &'static str {
        match self {
            Self::Join => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Drain => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

/// Why an execution was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A lifecycle action of a group.
    LifecycleAction {
        /// The instance that waits.
        instance: InstanceId,
        /// Its group.
        group: String,
        /// The hook that waits.
        hook: String,
        /// The transition, as Auto Scaling spells it.
        transition: String,
    },
    /// A person, or another program, by `start-execution`.
    ByHand {
        /// The instance.
        instance: InstanceId,
        /// How long the execution may take.
        deadline_seconds: Option<u32>,
    },
    /// Something that is no concern of this state machine, and why.
    NotOurs(String),
}

/// What is configured about groups and hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The groups of this cluster.
    pub groups: Vec<String>,
    /// The name of our launch hook.
    pub join_hook: String,
    /// The name of our terminate hook.
    pub drain_hook: String,
    /// How long a join may take, in seconds.
    pub join_limit_seconds: u32,
    /// How long a drain may take, in seconds.
    pub drain_limit_seconds: u32,
}

impl Scope {
    /// The name of our hook of that direction.
    #[must_use]
    pub fn hook(&self, direction: Direction) -> &str {
        match direction {
            Direction::Join => &self.join_hook,
            Direction::Drain => &self.drain_hook,
        }
    }

    const fn limit_seconds(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Join => self.join_limit_seconds,
            Direction::Drain => self.drain_limit_seconds,
        }
    }

    /// Why a trigger is no concern of ours, as far as the trigger alone tells; no call is spent on it.
    #[must_use]
    pub fn foreign(&self, direction: Direction, trigger: &Trigger) -> Option<String> {
        let Trigger::LifecycleAction {
            group,
            hook,
            transition,
            ..
        } = trigger
        else {
            return None;
        };
        if !self.groups.contains(group) {
            Some(format!(
                "group {group} is none of this cluster's groups ({})",
                self.groups.join(", ")
            ))
        } else if transition != direction.transition() {
            Some(format!(
                "the event is about {transition}, this state machine about {}",
                direction.transition()
            ))
        } else if hook != self.hook(direction) {
            Some(format!("hook {hook} is not ours ({})", self.hook(direction)))
        } else {
            None
        }
    }

    /// Why an instance is no concern of ours, by what Auto Scaling and, failing that, EC2 say of it.
    #[must_use]
    pub fn stranger(
        &self,
        instance: &InstanceId,
        membership: Option<&Membership>,
        ec2_state: Option<&str>,
    ) -> Option<String> {
        match (membership, ec2_state) {
            (Some(membership), _) if self.groups.contains(&membership.group) => None,
            (Some(membership), _) => Some(format!(
                "instance {instance} belongs to group {}, which is none of this cluster's groups ({})",
                membership.group,
                self.groups.join(", ")
            )),
            (None, None) => Some(format!(
                "instance {instance} is unknown to EC2 in this account and region"
            )),
            (None, Some(state)) => Some(format!(
                "instance {instance} is {state} and in no Auto Scaling group"
            )),
        }
    }
}

/// What `resolve-node` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Whether to go on.
    pub outcome: ResolveOutcome,
    /// Why.
    pub reason: String,
    /// The node, as soon as its group is ours.
    pub subject: Option<Subject>,
    /// When the execution must have decided.
    pub deadline: Timestamp,
}

/// Everything that is known of an instance of ours.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// Which way.
    pub direction: Direction,
    /// Why.
    pub trigger: &'a Trigger,
    /// The instance.
    pub instance: &'a InstanceId,
    /// What Auto Scaling says.
    pub membership: &'a Membership,
    /// The disks of its type.
    pub disks: Vec<Disk>,
    /// The hooks of its group.
    pub hooks: &'a [GroupHook],
    /// Whether its group retains.
    pub retains: bool,
    /// When the execution began.
    pub started_at: Timestamp,
}

/// Decides what an execution is about.
#[must_use]
pub fn resolve(scope: &Scope, known: Known<'_>) -> Resolution {
    let Known {
        direction,
        trigger,
        instance,
        membership,
        disks,
        hooks,
        retains,
        started_at,
    } = known;
    let state = membership.lifecycle_state.as_str();
    let hook = waiting_hook(scope, direction, trigger, state, hooks);
    let limit = match trigger {
        Trigger::ByHand {
            deadline_seconds: Some(seconds),
            ..
        } => *seconds,
        _ => scope.limit_seconds(direction),
    };
    let deadline = deadline(started_at, limit, hook.as_ref());
    let subject = Subject {
        instance_id: instance.clone(),
        auto_scaling_group: membership.group.clone(),
        availability_zone: membership.zone.clone(),
        instance_type: membership.instance_type.clone(),
        lifecycle_state: membership.lifecycle_state.clone(),
        disk_layout: DiskLayout::of(&disks),
        disks,
        hook,
        retains,
    };
    let (outcome, reason) = if direction == Direction::Join && state.starts_with("Terminating") {
        (
            ResolveOutcome::Superseded,
            format!("instance {instance} is {state}: it is leaving"),
        )
    } else if subject.disks.is_empty() {
        (
            ResolveOutcome::Ignored,
            format!(
                "instance type {} has no NVMe instance store: no cache to care for",
                subject.instance_type
            ),
        )
    } else {
        let disks = &subject.disk_layout;
        (
            ResolveOutcome::Resolved,
            format!(
                "instance {instance} of group {} is {state}, disks {disks}",
                membership.group
            ),
        )
    };
    Resolution {
        outcome,
        reason,
        subject: Some(subject),
        deadline,
    }
}

/// The hook of ours that waits for this instance. An event says so itself, and is believed where Auto Scaling's
/// own listing lags behind; for a start by hand the lifecycle state says it.
fn waiting_hook(
    scope: &Scope,
    direction: Direction,
    trigger: &Trigger,
    state: &str,
    hooks: &[GroupHook],
) -> Option<Hook> {
    let over = match direction {
        Direction::Join => !state.starts_with("Pending"),
        Direction::Drain => matches!(state, "Terminating:Proceed" | "Terminating:Retained"),
    };
    let waits = match trigger {
        Trigger::LifecycleAction { .. } => !over,
        Trigger::ByHand { .. } => match direction {
            Direction::Join => state == "Pending:Wait",
            Direction::Drain => state == "Terminating:Wait",
        },
        Trigger::NotOurs(_) => false,
    };
    let name = scope.hook(direction);
    hooks
        .iter()
        .find(|hook| waits && hook.name == name && hook.transition == direction.transition())
        .map(|hook| Hook {
            name: hook.name.clone(),
            heartbeat_seconds: hook.heartbeat_seconds,
            global_seconds: hook.global_seconds,
            default_result: hook.default_result.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            groups: vec!["nvme".into(), "spot".into()],
            join_hook: "tidegate-node-join".into(),
            drain_hook: "tidegate-node-drain".into(),
            join_limit_seconds: 1_800,
            drain_limit_seconds: 3_600,
        }
    }

    fn instance() -> InstanceId {
        InstanceId::parse("i-0123456789abcdef0").expect("valid")
    }

    fn action(group: &str, hook: &str, direction: Direction) -> Trigger {
        Trigger::LifecycleAction {
            instance: instance(),
            group: group.into(),
            hook: hook.into(),
            transition: direction.transition().into(),
        }
    }

    fn by_hand() -> Trigger {
        Trigger::ByHand {
            instance: instance(),
            deadline_seconds: None,
        }
    }

    fn member(state: &str) -> Membership {
        Membership {
            group: "nvme".into(),
            zone: "us-west-2a".into(),
            instance_type: "m5d.4xlarge".into(),
            lifecycle_state: state.into(),
        }
    }

    fn hooks() -> Vec<GroupHook> {
        [Direction::Join, Direction::Drain]
            .map(|direction| GroupHook {
                name: scope().hook(direction).to_owned(),
                transition: direction.transition().to_owned(),
                heartbeat_seconds: 300,
                global_seconds: 30_000,
                default_result: "ABANDON".into(),
            })
            .to_vec()
    }

    fn resolved(direction: Direction, trigger: &Trigger, state: &str, disks: usize) -> Resolution {
        resolve(
            &scope(),
            Known {
                direction,
                trigger,
                instance: &instance(),
                membership: &member(state),
                disks: vec![Disk { size_gb: 300 }; disks],
                hooks: &hooks(),
                retains: true,
                started_at: Timestamp::UNIX_EPOCH,
            },
        )
    }

    fn hook_of(resolution: Resolution) -> Option<String> {
        resolution
            .subject
            .and_then(|subject| subject.hook)
            .map(|hook| hook.name)
    }

    #[test]
    fn a_launch_action_of_a_group_of_ours_is_resolved_with_its_hook() {
        let resolution = resolved(
            Direction::Join,
            &action("nvme", "tidegate-node-join", Direction::Join),
            "Pending:Wait",
            2,
        );
        assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
        assert_eq!(hook_of(resolution).as_deref(), Some("tidegate-node-join"));
    }

    #[test]
    fn an_action_of_another_group_hook_or_transition_is_foreign_before_any_call() {
        let scope = scope();
        let foreign = |trigger| scope.foreign(Direction::Join, &trigger);
        assert!(
            foreign(action("other", "tidegate-node-join", Direction::Join))
                .is_some_and(|r| r.contains("other"))
        );
        assert!(
            foreign(action("nvme", "Launch-LC-Hook", Direction::Join))
                .is_some_and(|r| r.contains("Launch-LC-Hook"))
        );
        assert!(foreign(action("nvme", "tidegate-node-drain", Direction::Drain)).is_some());
        assert_eq!(
            foreign(action("nvme", "tidegate-node-join", Direction::Join)),
            None
        );
    }

    #[test]
    fn an_instance_of_no_group_of_ours_is_a_stranger_and_the_reason_says_what_it_is() {
        let scope = scope();
        let elsewhere = Membership {
            group: "other".into(),
            ..member("InService")
        };
        let stranger = |membership, state| scope.stranger(&instance(), membership, state).unwrap_or_default();
        assert!(stranger(Some(&elsewhere), None).contains("group other"));
        assert!(stranger(None, Some("terminated")).contains("terminated"));
        assert!(stranger(None, None).contains("unknown"));
        assert_eq!(
            scope.stranger(&instance(), Some(&member("InService")), None),
            None
        );
    }

    #[test]
    fn an_instance_without_local_disks_is_ignored_but_its_hook_is_known_so_that_it_can_be_completed() {
        let resolution = resolved(
            Direction::Join,
            &action("nvme", "tidegate-node-join", Direction::Join),
            "Pending:Wait",
            0,
        );
        assert_eq!(resolution.outcome, ResolveOutcome::Ignored);
        assert!(hook_of(resolution).is_some());
    }

    #[test]
    fn a_join_of_an_instance_that_leaves_is_superseded() {
        for state in ["Terminating", "Terminating:Wait", "Terminating:Retained"] {
            assert_eq!(
                resolved(Direction::Join, &by_hand(), state, 2).outcome,
                ResolveOutcome::Superseded
            );
        }
    }

    #[test]
    fn by_hand_the_lifecycle_state_tells_whether_a_hook_waits() {
        let hook = |direction, state| hook_of(resolved(direction, &by_hand(), state, 2)).is_some();
        assert!(hook(Direction::Join, "Pending:Wait"));
        assert!(!hook(Direction::Join, "InService"));
        assert!(hook(Direction::Drain, "Terminating:Wait"));
        assert!(!hook(Direction::Drain, "InService"));
        assert!(!hook(Direction::Drain, "Terminating:Retained"));
    }

    #[test]
    fn an_event_is_believed_where_the_listing_lags_behind_it() {
        let drain = action("nvme", "tidegate-node-drain", Direction::Drain);
        assert!(hook_of(resolved(Direction::Drain, &drain, "InService", 2)).is_some());
        assert!(hook_of(resolved(Direction::Drain, &drain, "Terminating:Retained", 2)).is_none());
        let join = action("nvme", "tidegate-node-join", Direction::Join);
        assert!(hook_of(resolved(Direction::Join, &join, "Pending", 2)).is_some());
        assert!(hook_of(resolved(Direction::Join, &join, "InService", 2)).is_none());
    }

    #[test]
    fn a_deadline_by_hand_replaces_the_limit() {
        let trigger = Trigger::ByHand {
            instance: instance(),
            deadline_seconds: Some(60),
        };
        let by_hand = resolved(Direction::Drain, &trigger, "InService", 2);
        assert_eq!(by_hand.deadline, Timestamp::from_second(60).expect("valid"));
        let default = resolved(Direction::Drain, &self::by_hand(), "InService", 2);
        assert_eq!(default.deadline, Timestamp::from_second(3_600).expect("valid"));
    }
}
