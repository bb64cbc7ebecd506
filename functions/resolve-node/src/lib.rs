//! Who is it about, and is it ours: event or instance id to node, group, hook and disks.

mod trigger;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, ResolveOutcome};
use tidegate_domain::ports::{AutoScaling, Instances};
use tidegate_domain::resolve::{Direction, Known, Resolution, Scope, Trigger, resolve};
use tidegate_domain::subject::{InstanceId, Subject};
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct ResolveNode<Groups, Ec2> {
    /// Auto Scaling.
    pub groups: Groups,
    /// EC2.
    pub instances: Ec2,
    /// What is ours.
    pub scope: Scope,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveCall {
    direction: Direction,
    input: Value,
    started_at: Timestamp,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The node; null where it is none of ours.
    pub node: Option<Subject>,
    /// The instance, as soon as it is known which.
    pub instance_id: Option<InstanceId>,
    /// When the execution must have decided.
    pub deadline: Option<Timestamp>,
    /// Whether a person started it.
    pub by_hand: bool,
}

impl<Groups: AutoScaling, Ec2: Instances> ResolveNode<Groups, Ec2> {
    async fn answer(&self, call: &ResolveCall) -> Result<Answer<ResolveOutcome, Facts>> {
        let ignored = |reason: String, facts| Ok(Answer::new(ResolveOutcome::Ignored, reason, facts));
        let trigger = trigger::read(&call.input)?;
        if let Some(reason) = self.scope.foreign(call.direction, &trigger) {
            return ignored(reason, Facts::default());
        }
        let (instance, by_hand) = match &trigger {
            Trigger::NotOurs(reason) => return ignored(reason.clone(), Facts::default()),
            Trigger::LifecycleAction { instance, .. } => (instance, false),
            Trigger::ByHand { instance, .. } => (instance, true),
        };
        let mut facts = Facts {
            instance_id: Some(instance.clone()),
            by_hand,
            ..Facts::default()
        };
        let membership = self.groups.membership(instance).await?;
        let ec2_state = if membership.is_none() {
            self.instances.state(instance).await?
        } else {
            None
        };
        if let Some(reason) = self
            .scope
            .stranger(instance, membership.as_ref(), ec2_state.as_deref())
        {
            return ignored(reason, facts);
        }
        let Some(membership) = membership else {
            return ignored(format!("instance {instance} is in no Auto Scaling group"), facts);
        };
        let disks = self.instances.local_disks(&membership.instance_type).await?;
        let hooks = self.groups.hooks(&membership.group).await?;
        let retains = call.direction == Direction::Drain && self.groups.retains(&membership.group).await?;
        let known = Known {
            direction: call.direction,
            trigger: &trigger,
            instance,
            membership: &membership,
            disks,
            hooks: &hooks,
            retains,
            started_at: call.started_at,
        };
        let Resolution {
            outcome,
            reason,
            subject,
            deadline,
        } = resolve(&self.scope, known);
        facts.node = subject;
        facts.deadline = Some(deadline);
        Ok(Answer::new(outcome, reason, facts))
    }
}

impl<Groups: AutoScaling, Ec2: Instances> Serve for ResolveNode<Groups, Ec2> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: ResolveCall = Call::read(&payload)?;
        let answer = self.answer(&call).await?;
        let reply = Reply::of(&answer)?;
        Ok(match &answer.facts.node {
            Some(subject) => reply.about(subject),
            None => reply,
        })
    }
}
