//! Finds the node of an instance, claims it for one join and labels it with what is known of its disks.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidegate_domain::claim::{Claim, Decision, decide, drained_by_another, rival_runs};
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::join::{Step, label};
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::outcome::{Answer, LabelOutcome};
use tidegate_domain::plan::{self, Plan};
use tidegate_domain::ports::{Changed, Clock, Executions, Nodes};
use tidegate_domain::resolve::Direction;
use tidegate_domain::subject::Subject;
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct LabelNode<N, E, C> {
    /// The cluster's nodes.
    pub nodes: N,
    /// The other executions.
    pub executions: E,
    /// Time.
    pub clock: C,
    /// How long a call watches for the node.
    pub watch_seconds: u32,
    /// How long an instance takes to boot at the least: before that a call looks once and does not watch, so that
    /// many instances that boot at once hold no function.
    pub boot_seconds: u32,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The name of the node, once it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The join gives way to a drain of the node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// What the execution goes on with, once the node is its own.
    #[serde(flatten)]
    pub wishes: Option<Wishes>,
}

/// What this execution, and those that it took the node over from, want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wishes {
    /// The node, with the hook that is to be completed.
    pub node: Subject,
    /// When all must be decided.
    pub deadline: Timestamp,
}

impl<N: Nodes, E: Executions, C: Clock> LabelNode<N, E, C> {
    async fn answer(&self, call: &Call) -> Result<Answer<LabelOutcome, Facts>> {
        let subject = &call.node;
        let watch = if call.frame.age_seconds(self.clock.now()) < i64::from(self.boot_seconds) {
            0
        } else {
            self.watch_seconds
        };
        while let Some(node) = self
            .nodes
            .find(subject, Duration::from_secs(watch.into()))
            .await?
        {
            if let Some(answer) = self.claim_and_label(call, &node).await? {
                return Ok(answer);
            }
        }
        let now = self.clock.now();
        let id = &subject.instance_id;
        let age = call.frame.age_seconds(now);
        if call.frame.expired(now) {
            let reason = format!("instance {id} did not become a node within {age} s");
            return Ok(Answer::new(LabelOutcome::Expired, reason, Facts::default()));
        }
        let again = retry_after_seconds(&call.frame, now, subject.hook.as_ref(), watch);
        let reason = format!("instance {id} is not a node yet, after {age} s");
        Ok(Answer::again(
            LabelOutcome::Waiting,
            reason,
            again,
            Facts::default(),
        ))
    }

    /// None where the node has changed meanwhile.
    async fn claim_and_label(&self, call: &Call, node: &Node) -> Result<Option<Answer<LabelOutcome, Facts>>> {
        let subject = &call.node;
        let mut facts = Facts {
            node_name: Some(node.name.clone()),
            ..Facts::default()
        };
        let mine = claim(call);
        let other = Claim::on(node);
        let runs = rival_runs(&self.executions, &mine, other.as_ref()).await?;
        let drain_runs = runs && other.as_ref().is_some_and(Claim::drains);
        let mut change = match label(node, subject, drain_runs) {
            Step::Superseded(reason) => {
                facts.draining = drained_by_another(node);
                return Ok(Some(Answer::new(LabelOutcome::Superseded, reason, facts)));
            }
            Step::Nothing => NodeChange::default(),
            Step::Change(change) => change,
        };
        let claim = match decide(mine, other.as_ref(), runs) {
            Decision::GiveWay(reason) => {
                facts.draining = drained_by_another(node);
                return Ok(Some(Answer::new(LabelOutcome::Superseded, reason, facts)));
            }
            Decision::Hold(claim) => claim,
            Decision::Take(claim) => {
                claim.note(&mut change)?;
                claim
            }
        };
        if change != NodeChange::default() && self.nodes.change(node, &change).await? != Changed::Done {
            return Ok(None);
        }
        facts.wishes = Some(Wishes {
            node: Subject {
                hook: claim.hook,
                ..subject.with_node(node)
            },
            deadline: claim.deadline,
        });
        let reason = format!("node {} is labelled: disks {}", node.name, subject.disk_layout);
        Ok(Some(Answer::new(LabelOutcome::Labelled, reason, facts)))
    }
}

fn claim(call: &Call) -> Claim {
    Claim {
        execution: call.execution.clone(),
        direction: Direction::Join,
        hook: call.node.hook.clone(),
        deadline: call.frame.deadline,
        terminate: false,
        replace: false,
        reclaimed: false,
        asked_to_terminate: None,
    }
}

impl<N: Nodes, E: Executions, C: Clock> LabelNode<N, E, C> {
    async fn plan(&self, call: &Call) -> Result<Answer<LabelOutcome, Plan>> {
        let node = self.nodes.find(&call.node, Duration::ZERO).await?;
        let mine = claim(call);
        let other = node.as_ref().and_then(Claim::on);
        let runs = rival_runs(&self.executions, &mine, other.as_ref()).await?;
        let plan = plan::label(node.as_ref(), &call.node, mine, runs);
        Ok(Answer::new(LabelOutcome::Planned, plan.reason(), plan))
    }
}

impl<N: Nodes, E: Executions, C: Clock> Serve for LabelNode<N, E, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: Call = Call::read(&payload)?;
        if call.plan {
            return Ok(Reply::of(&self.plan(&call).await?)?.about(&call.node));
        }
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.node))
    }
}
