//! Who is it about, and is it ours: event, instance id or node name to node, group, hook and disks.

mod shapes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::capacity::refusal_of_several;
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, ResolveOutcome};
use tidegate_domain::ports::{AutoScaling, Instances, Membership};
use tidegate_domain::resolve::{
    Direction, ENDED, Known, Resolution, Scope, asks_ec2, ended_by_hand, leaves, not_advised, resolve,
};
use tidegate_domain::several::{Input, by_instance, members, one_each, sort, summary};
use tidegate_domain::subject::{Identity, InstanceId, Subject};
use tidegate_domain::trigger::Trigger;
use tidegate_domain::turn::{is_ticket, ticket_name};
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct ResolveNode<Groups, Ec2, Eks> {
    /// Auto Scaling.
    pub groups: Groups,
    /// EC2.
    pub instances: Ec2,
    /// EKS.
    pub api_servers: Eks,
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
    /// The name of the execution. One that started before state machines told it has none.
    #[serde(default)]
    execution: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the state machine reads each by itself"
)]
pub struct Facts {
    /// The node; null where it is none of ours.
    pub node: Option<Subject>,
    /// Where the API server is that the other functions ask; null where none of them is called.
    pub api_server: Option<ApiServer>,
    /// The instance, as soon as it is known which.
    pub instance_id: Option<InstanceId>,
    /// When the execution must have decided.
    pub deadline: Option<Timestamp>,
    /// Whether a person started it.
    pub by_hand: bool,
    /// Whether the drained instance is ended so that its group replaces it.
    pub replace: bool,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    pub reclaimed: bool,
    /// What the group will refuse in the end, or cannot do as it is set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_the_way: Vec<String>,
    /// Why its node should have no cache, where its worker is looked for all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_for_worker: Option<String>,
    /// Whether the execution waits until the group can spare the instance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_turn: bool,
    /// Where it is about several instances: the input of an execution for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The id of the event, as far as the name of an execution may hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

type Found = Answer<ResolveOutcome, Facts>;

/// Whether another execution must be started to wait for the instance's turn: the queue is made of executions with
/// names of their own.
fn waits_elsewhere(call: &ResolveCall, found: &Found) -> bool {
    found.facts.in_turn && !is_ticket(&call.execution)
}

fn ignored(reasons: &[String], facts: Facts) -> Found {
    Answer::new(ResolveOutcome::Ignored, summary(reasons), facts)
}

impl<Groups: AutoScaling, Ec2: Instances, Eks: ApiServers> ResolveNode<Groups, Ec2, Eks> {
    async fn answer(&self, call: &ResolveCall) -> Result<Found> {
        let shapes::Input { triggers, event_id } = shapes::read(&call.input)?;
        let (triggers, mut left_out) = sort(&self.scope, call.direction, call.started_at, triggers);
        let triggers = self.with_instances(triggers, &mut left_out).await?;
        let mut triggers = one_each(triggers, call.started_at);
        if triggers.len() > 1 {
            let instances: Vec<_> = triggers.iter().filter_map(Trigger::instance).cloned().collect();
            let memberships = self.groups.memberships(&instances).await?;
            let (ours, strangers) = members(&self.scope, triggers, &memberships);
            left_out.extend(strangers);
            triggers = Vec::with_capacity(ours.len());
            for trigger in ours {
                let membership = trigger.instance().and_then(|instance| memberships.get(instance));
                match self.not_advised(&trigger, membership).await? {
                    Some(reason) => left_out.push(reason),
                    None => triggers.push(trigger),
                }
            }
            if let Some(reason) = self.refusal_of_several(call, &triggers, &memberships).await? {
                let facts = Facts {
                    by_hand: true,
                    ..Facts::default()
                };
                return Ok(Answer::new(ResolveOutcome::Refused, reason, facts));
            }
        }
        let mut found = match triggers.as_slice() {
            [] => return Ok(ignored(&left_out, Facts::default())),
            [one] => match self.one(call, one).await? {
                found if waits_elsewhere(call, &found) => {
                    return Ok(self.several(call, &triggers, &left_out, event_id));
                }
                found => found,
            },
            several => return Ok(self.several(call, several, &left_out, event_id)),
        };
        if !left_out.is_empty() {
            found.reason = format!("{}; left out: {}", found.reason, summary(&left_out));
        }
        Ok(found)
    }

    /// The triggers with the instances of the nodes that they name.
    async fn with_instances(
        &self,
        triggers: Vec<Trigger>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Trigger>> {
        let mut names: Vec<_> = triggers
            .iter()
            .filter_map(|trigger| Some(trigger.node_name()?.to_owned()))
            .collect();
        if names.is_empty() {
            return Ok(triggers);
        }
        names.sort();
        names.dedup();
        let found = self.instances.with_private_dns_names(&names).await?;
        let instances: Vec<_> = found.iter().map(|(_, instance)| instance.clone()).collect();
        let memberships = self.groups.memberships(&instances).await?;
        let ours: Vec<_> = found
            .into_iter()
            .filter(|(_, instance)| {
                memberships
                    .get(instance)
                    .is_some_and(|membership| self.scope.groups.contains(&membership.group))
            })
            .collect();
        let (triggers, unknown) = by_instance(triggers, &ours);
        left_out.extend(unknown);
        Ok(triggers)
    }

    fn several(
        &self,
        call: &ResolveCall,
        triggers: &[Trigger],
        left_out: &[String],
        event_id: Option<String>,
    ) -> Found {
        let inputs: Vec<_> = triggers
            .iter()
            .filter_map(|trigger| Input::of(&self.scope, call.direction, call.started_at, trigger))
            .collect();
        let mut reason = match triggers {
            [one] => format!("{one}, which waits for the turn of its instance in an execution of its own"),
            _ => format!("{} instances, an execution for each", inputs.len()),
        };
        if !left_out.is_empty() {
            reason = format!("{reason}; left out: {}", summary(left_out));
        }
        // Those that wait for their turn are found by their names.
        let drains = call.direction == Direction::Drain;
        let waits = triggers.iter().find(|trigger| drains && trigger.in_turn());
        let event_id = match waits {
            Some(trigger) => {
                let at = trigger.at().unwrap_or(call.started_at);
                Some(ticket_name(at, event_id.as_deref().or(Some(&call.execution))))
            }
            None => event_id,
        };
        let facts = Facts {
            by_hand: triggers.iter().all(Trigger::by_hand),
            inputs,
            event_id,
            ..Facts::default()
        };
        Answer::new(ResolveOutcome::Several, reason, facts)
    }

    /// Why a group would not end all of the instances that a person names; none where it would.
    async fn refusal_of_several(
        &self,
        call: &ResolveCall,
        triggers: &[Trigger],
        memberships: &BTreeMap<InstanceId, Membership>,
    ) -> Result<Option<String>> {
        if call.direction == Direction::Join {
            return Ok(None);
        }
        for (group, instances) in ended_by_hand(triggers, memberships) {
            let settings = self.groups.settings(&group).await?;
            let refusal = settings.and_then(|settings| refusal_of_several(&group, &settings, instances));
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        Ok(None)
    }

    /// Why a rebalance recommendation drains nothing here; none where it does, and for other triggers.
    async fn not_advised(
        &self,
        trigger: &Trigger,
        membership: Option<&Membership>,
    ) -> Result<Option<String>> {
        let (true, Some(Membership { group, .. })) = (trigger.advises(), membership) else {
            return Ok(None);
        };
        let settings = self.groups.settings(group).await?;
        Ok(membership.and_then(|membership| not_advised(trigger, membership, settings.as_ref())))
    }

    async fn one(&self, call: &ResolveCall, trigger: &Trigger) -> Result<Found> {
        let Some(instance) = trigger.instance() else {
            return Ok(ignored(&[], Facts::default()));
        };
        let mut facts = Facts {
            instance_id: Some(instance.clone()),
            by_hand: trigger.by_hand(),
            replace: trigger.replaces(),
            reclaimed: trigger.reclaimed(),
            ..Facts::default()
        };
        let membership = self.groups.membership(instance).await?;
        let ec2 = if asks_ec2(call.direction, membership.as_ref()) {
            self.instances.instance(instance).await?
        } else {
            None
        };
        let identity = ec2.as_ref().map(Identity::from).unwrap_or_default();
        let membership = match self.scope.standing(call.direction, instance, membership, ec2) {
            Ok(membership) => membership,
            Err(reason) => return Ok(ignored(&[reason], facts)),
        };
        let forgotten = membership.lifecycle_state == ENDED;
        // The group itself may be gone by now where it has forgotten the instance.
        let settings = if call.direction == Direction::Drain && !forgotten {
            self.groups.settings(&membership.group).await?
        } else {
            None
        };
        if let Some(reason) = not_advised(trigger, &membership, settings.as_ref()) {
            return Ok(ignored(&[reason], facts));
        }
        let disks = self.instances.local_disks(&membership.instance_type).await?;
        let hooks = if forgotten {
            Vec::new()
        } else {
            self.groups.hooks(&membership.group).await?
        };
        let known = Known {
            direction: call.direction,
            trigger,
            instance,
            membership: &membership,
            disks,
            hooks: &hooks,
            settings: settings.as_ref(),
            identity,
            started_at: call.started_at,
        };
        let Resolution {
            outcome,
            reason,
            subject,
            deadline,
            in_the_way,
            look_for_worker,
        } = resolve(&self.scope, known);
        facts.in_turn = call.direction == Direction::Drain
            && outcome == ResolveOutcome::Resolved
            && trigger.in_turn()
            && !leaves(&membership.lifecycle_state);
        facts.node = subject;
        facts.deadline = Some(deadline);
        facts.in_the_way = in_the_way;
        facts.look_for_worker = look_for_worker;
        if outcome == ResolveOutcome::Resolved {
            facts.api_server = Some(self.api_servers.api_server().await?);
        }
        Ok(Answer::new(outcome, reason, facts))
    }
}

impl<Groups: AutoScaling, Ec2: Instances, Eks: ApiServers> Serve for ResolveNode<Groups, Ec2, Eks> {
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
