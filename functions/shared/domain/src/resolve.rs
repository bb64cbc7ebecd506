//! Who an execution is about, and whether it is ours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capacity::{End, refusal, suspended};
use crate::deadline::deadline;
use crate::disks::{Disk, DiskLayout, as_set_up};
use crate::outcome::ResolveOutcome;
use crate::ports::{Ec2Instance, GroupHook, GroupSettings, Membership};
use crate::subject::{Hook, Identity, InstanceId, Subject};
use crate::trigger::{LifecycleAction, Place, Trigger};

/// The lifecycle state of an instance that its group has forgotten.
pub const ENDED: &str = "Terminated";

/// The most that an execution may take: its state machine ends it soon after.
const LONGEST_SECONDS: u32 = 172_800;

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

/// What is configured about groups and hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The groups of this cluster.
    pub groups: Vec<String>,
    /// Those of them whose instances set their disks up as one array.
    pub array_groups: Vec<String>,
    /// Whether nodes without disks may carry a cache in memory.
    pub memory_caches: bool,
    /// The name of our launch hook.
    pub join_hook: String,
    /// The name of our terminate hook.
    pub drain_hook: String,
    /// How long a join may take, in seconds.
    pub join_limit_seconds: u32,
    /// How long a drain may take, in seconds.
    pub drain_limit_seconds: u32,
    /// How long a drain may wait for disruption budgets beside that, in seconds, where its end was announced long before.
    pub announced_evict_limit_seconds: u32,
    /// Whether a rebalance recommendation drains the node.
    pub drains_on_rebalance: bool,
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

    /// How long an execution of that direction may take, in seconds.
    #[must_use]
    pub const fn limit_seconds(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Join => self.join_limit_seconds,
            Direction::Drain => self.drain_limit_seconds,
        }
    }

    /// How long an execution for that trigger may take, in seconds. No hook waits for what was announced for a later day:
    /// there is time for disruption budgets beside the drain itself.
    #[must_use]
    pub fn limit_for(&self, direction: Direction, trigger: &Trigger, started_at: Timestamp) -> u32 {
        let limit = self.limit_seconds(direction);
        if trigger.deadline(started_at).is_some() && !trigger.reclaimed() {
            limit
                .saturating_add(self.announced_evict_limit_seconds)
                .min(LONGEST_SECONDS)
        } else {
            limit
        }
    }

    /// What an instance is to us, by what Auto Scaling and, failing that, EC2 say of it.
    ///
    /// # Errors
    /// Why it is no concern of ours.
    pub fn standing(
        &self,
        direction: Direction,
        instance: &InstanceId,
        membership: Option<Membership>,
        ec2: Option<Ec2Instance>,
    ) -> Result<Membership, String> {
        let ours = |group: &String| self.groups.contains(group);
        match (membership, ec2) {
            (Some(membership), _) if ours(&membership.group) => Ok(membership),
            (Some(Membership { group, .. }), _) => Err(format!(
                "instance {instance} belongs to group {group}, which is none of this cluster's groups ({})",
                self.groups.join(", ")
            )),
            (None, None) => Err(format!(
                "instance {instance} is unknown to EC2 in this account and region"
            )),
            // Auto Scaling forgets an instance before EC2 does; what it left in the cluster is still there.
            (None, Some(ec2)) => match ec2.group.clone().filter(ours) {
                Some(group) if direction == Direction::Drain && ec2.ends() => Ok(Membership {
                    group,
                    zone: ec2.zone,
                    instance_type: ec2.instance_type,
                    lifecycle_state: ENDED.to_owned(),
                }),
                _ => Err(format!(
                    "instance {instance} is {} and in no Auto Scaling group",
                    ec2.state
                )),
            },
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
    /// What the group will refuse, or cannot do as it is set.
    pub in_the_way: Vec<String>,
    /// Why its node should have no cache, where only a look at the node can say so: one that began to cache under other
    /// settings may still hold files.
    pub look_for_worker: Option<String>,
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
    /// What its group is set to; none where that does not matter, or the group is gone.
    pub settings: Option<&'a GroupSettings>,
    /// What EC2 tells of it.
    pub identity: Identity,
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
        settings,
        identity,
        started_at,
    } = known;
    let state = membership.lifecycle_state.as_str();
    // A plan leaves the hook as it is: no heartbeat, no completion.
    let hook = waiting_hook(scope, direction, trigger, state, hooks).filter(|_| !trigger.wishes().plan);
    let limit = trigger.wishes().deadline_seconds.unwrap_or_else(|| match hook {
        Some(_) => scope.limit_seconds(direction),
        None => scope.limit_for(direction, trigger, started_at),
    });
    let by_limit = deadline(started_at, limit, hook.as_ref());
    let deadline = trigger
        .deadline(started_at)
        .map_or(by_limit, |by_event| by_limit.min(by_event).max(started_at));
    let one_array = scope.array_groups.contains(&membership.group);
    let disks = as_set_up(disks, one_array);
    let in_memory = disks.is_empty() && scope.memory_caches;
    let subject = Subject {
        instance_id: instance.clone(),
        auto_scaling_group: membership.group.clone(),
        availability_zone: membership.zone.clone(),
        instance_type: membership.instance_type.clone(),
        lifecycle_state: membership.lifecycle_state.clone(),
        disk_layout: if in_memory {
            DiskLayout::memory()
        } else {
            DiskLayout::of(&disks)
        },
        disks,
        one_array,
        hook,
        retains: direction == Direction::Drain && settings.is_some_and(|settings| settings.retains),
        identity,
    };
    let (refused, in_the_way) = match settings {
        Some(settings) if direction == Direction::Drain => hindrances(trigger, &subject, settings),
        _ => (None, Vec::new()),
    };
    let (outcome, reason) = if direction == Direction::Join && leaves(state) {
        (
            ResolveOutcome::Superseded,
            format!("instance {instance} is {state}: it is leaving"),
        )
    } else if direction == Direction::Join && enters_warm_pool(trigger, state) {
        (
            ResolveOutcome::Ignored,
            format!(
                "instance {instance} is {state} and goes into the warm pool: it joins when it comes into its group"
            ),
        )
    } else if in_memory && direction == Direction::Join {
        (
            ResolveOutcome::Ignored,
            format!(
                "{}: the label of its group runs its cache in memory",
                without_store(&subject)
            ),
        )
    } else if subject.disks.is_empty() && !in_memory && (direction == Direction::Join || state == ENDED) {
        (
            ResolveOutcome::Ignored,
            format!("{}: no cache to care for", without_store(&subject)),
        )
    } else if let Some(refused) = refused {
        (ResolveOutcome::Refused, refused)
    } else {
        let layout = &subject.disk_layout;
        let mut reason = format!(
            "{trigger}: instance {instance} of group {} is {state}, disks {layout}",
            membership.group
        );
        if !in_the_way.is_empty() {
            reason = format!("{reason}; in the way: {}", in_the_way.join("; "));
        }
        (ResolveOutcome::Resolved, reason)
    };
    let looked_at = outcome == ResolveOutcome::Resolved && subject.disks.is_empty() && !in_memory;
    let look_for_worker = looked_at.then(|| without_store(&subject));
    Resolution {
        outcome,
        reason,
        subject: Some(subject),
        deadline,
        in_the_way,
        look_for_worker,
    }
}

fn without_store(subject: &Subject) -> String {
    format!(
        "instance type {} has no NVMe instance store",
        subject.instance_type
    )
}

/// What the group would refuse in the end of a drain that is carried out, and everything that is in the way of one that is
/// planned.
fn hindrances(
    trigger: &Trigger,
    subject: &Subject,
    settings: &GroupSettings,
) -> (Option<String>, Vec<String>) {
    let group = &subject.auto_scaling_group;
    // What one answer says of both counts: the instance may have begun to leave since its state was read.
    let leaves = leaves(&subject.lifecycle_state) || settings.leaving.contains(&subject.instance_id);
    let end = end(trigger, leaves, subject.hook.is_some());
    let mut in_the_way = suspended(group, settings, end);
    let refusal = refusal(group, settings, end);
    in_the_way.extend(refusal.clone());
    (refusal.filter(|_| !trigger.wishes().plan), in_the_way)
}

/// How many instances of each group a person would have ended, so that the group has fewer.
#[must_use]
pub fn ended_by_hand(
    triggers: &[Trigger],
    memberships: &BTreeMap<InstanceId, Membership>,
) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for trigger in triggers.iter().filter(|trigger| !trigger.wishes().plan) {
        let membership = trigger.instance().and_then(|instance| memberships.get(instance));
        if let Some(Membership {
            group,
            lifecycle_state: state,
            ..
        }) = membership
            && end(trigger, leaves(state), false) == End::Shrinks
        {
            *counts.entry(group.clone()).or_default() += 1;
        }
    }
    counts
}

/// What becomes of the instance in the end. One that a hook holds, or that is on its way out or taken back by EC2, leaves
/// its group anyway, and a retained one counts no longer.
fn end(trigger: &Trigger, leaves: bool, hook_waits: bool) -> End {
    let wishes = trigger.wishes();
    let ends = if trigger.by_hand() {
        wishes.terminate.unwrap_or(true)
    } else {
        trigger.replaces()
    };
    if !ends || hook_waits || leaves || trigger.reclaimed() {
        End::Stays
    } else if trigger.replaces() {
        End::Replaced
    } else {
        End::Shrinks
    }
}

/// Whether EC2 is to be asked for the name, the addresses and the state of the instance. Not where it is just launched:
/// no cache is on it yet, and its Node object is found by being new.
#[must_use]
pub fn asks_ec2(direction: Direction, membership: Option<&Membership>) -> bool {
    let launching = |membership: &Membership| out_of_pool(&membership.lifecycle_state).starts_with("Pending");
    direction == Direction::Drain || !membership.is_some_and(launching)
}

/// Why a rebalance recommendation drains nothing; none where it does, and for other triggers.
///
/// A young instance that is drained on advice is replaced from the same Spot pool, which gives the same advice: it joins,
/// and the interruption warning saves what it holds if it comes to that.
#[must_use]
pub fn not_advised(
    trigger: &Trigger,
    membership: &Membership,
    settings: Option<&GroupSettings>,
) -> Option<String> {
    let Membership {
        group,
        lifecycle_state: state,
        ..
    } = membership;
    let instance = trigger.instance().filter(|_| trigger.advises())?;
    if settings.is_some_and(|settings| settings.rebalances) {
        Some(format!(
            "group {group} replaces {instance} by itself (CapacityRebalance), and its terminate action drains the node"
        ))
    } else if out_of_pool(state).starts_with("Pending") || pooled(state) {
        Some(format!(
            "instance {instance} is {state}: a rebalance recommendation drains no node that has not joined yet"
        ))
    } else {
        None
    }
}

/// Whether an instance in that lifecycle state is on its way out of its group, or of its warm pool.
#[must_use]
pub fn leaves(state: &str) -> bool {
    out_of_pool(state).starts_with("Terminat")
}

/// A lifecycle state without the warm pool's prefix.
fn out_of_pool(state: &str) -> &str {
    state.strip_prefix("Warmed:").unwrap_or(state)
}

fn pooled(state: &str) -> bool {
    state.starts_with("Warmed:")
}

/// Whether an instance that is launched goes into the warm pool. An action says so itself; otherwise the state does.
fn enters_warm_pool(trigger: &Trigger, state: &str) -> bool {
    match trigger {
        Trigger::LifecycleAction(action) => match (action.origin, action.destination) {
            (_, Place::WarmPool) => true,
            (Place::WarmPool, _) => false,
            _ => pooled(state),
        },
        _ => pooled(state),
    }
}

/// The hook of ours that waits for this instance. An event says so itself, and is believed where Auto Scaling's
/// own listing lags behind; for anything else the lifecycle state says it.
fn waiting_hook(
    scope: &Scope,
    direction: Direction,
    trigger: &Trigger,
    state: &str,
    hooks: &[GroupHook],
) -> Option<Hook> {
    let waits = match trigger {
        Trigger::LifecycleAction(action) => action_waits(direction, action, state),
        _ => match direction {
            Direction::Join => out_of_pool(state) == "Pending:Wait",
            // An instance that goes back into the pool waits there for the terminate hook, one that is new for the other.
            Direction::Drain => out_of_pool(state) == "Terminating:Wait" || state == "Warmed:Pending:Wait",
        },
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

/// Whether the hook of that action still waits, as far as the lifecycle state of its instance tells.
fn action_waits(direction: Direction, action: &LifecycleAction, state: &str) -> bool {
    match (direction, action.destination) {
        // On its way into the pool; one that is `Pending` waits already for the hook of its next transition.
        (Direction::Join, Place::WarmPool) => state.starts_with("Warmed:Pending"),
        (Direction::Join, Place::Unsaid) => out_of_pool(state).starts_with("Pending"),
        // Listed as warmed still, it is on its way out of the pool.
        (Direction::Join, _) => {
            state.starts_with("Pending") || (action.origin == Place::WarmPool && pooled(state))
        }
        // Back in the pool already, unless it waits on its way there.
        (Direction::Drain, Place::WarmPool) if pooled(state) => state.ends_with(":Wait"),
        (Direction::Drain, _) => !state.ends_with(":Proceed") && !state.ends_with(":Retained"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
