//! Claims the node for one drain and cordons it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::claim::{Claim, Decision, decide, drained_before};
use tidegate_domain::cordon::cordon;
use tidegate_domain::error::Result;
use tidegate_domain::node::NodeChange;
use tidegate_domain::outcome::{Answer, CordonOutcome};
use tidegate_domain::plan::{self, Plan};
use tidegate_domain::ports::{Changed, Clock, Executions, Nodes, Run};
use tidegate_domain::resolve::Direction;
use tidegate_domain::subject::Subject;
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct CordonNode<N, E, C> {
    /// The cluster's nodes.
    pub nodes: N,
    /// The other executions.
    pub executions: E,
    /// Time.
    pub clock: C,
}

/// The call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CordonCall {
    #[serde(flatten)]
    call: Call,
    /// Whether the execution ends the instance although no hook waits.
    terminate: bool,
    /// Whether the group then replaces it.
    replace: bool,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    reclaimed: bool,
    /// What a person asked for in so many words; none where nobody did.
    #[serde(default)]
    asked_to_terminate: Option<bool>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The node's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
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
    /// Whether the instance is ended although no hook waits.
    pub terminate: bool,
    /// Whether the group then replaces it.
    pub replace: bool,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    pub reclaimed: bool,
}

impl CordonCall {
    fn claim(&self) -> Claim {
        Claim {
            execution: self.call.execution.clone(),
            direction: Direction::Drain,
            hook: self.call.node.hook.clone(),
            deadline: self.call.frame.deadline,
            terminate: self.terminate,
            replace: self.replace,
            reclaimed: self.reclaimed,
            asked_to_terminate: self.asked_to_terminate,
        }
    }
}

impl<N: Nodes, E: Executions, C: Clock> CordonNode<N, E, C> {
    async fn answer(&self, cordon_call: &CordonCall) -> Result<Answer<CordonOutcome, Facts>> {
        let call = &cordon_call.call;
        let subject = &call.node;
        while let Some(node) = self.nodes.find(subject, Duration::ZERO).await? {
            let mine = cordon_call.claim();
            let other = Claim::on(&node);
            let run = self.rival(&mine, other.as_ref()).await?;
            let runs = run == Run::Running;
            let mut facts = Facts {
                node_name: Some(node.name.clone()),
                wishes: None,
            };
            if let Some(reason) = drained_before(&mine, other.as_ref(), &run, subject.ends()) {
                return Ok(Answer::new(CordonOutcome::Superseded, reason, facts));
            }
            let mut change = cordon(&node, self.clock.now()).unwrap_or_default();
            let mut reason = format!("node {} is cordoned", node.name);
            let claim = match decide(mine, other.as_ref(), runs) {
                Decision::GiveWay(reason) => {
                    return Ok(Answer::new(CordonOutcome::Superseded, reason, facts));
                }
                Decision::Hold(claim) => claim,
                Decision::Take(claim) => {
                    claim.note(&mut change)?;
                    if let Some(other) = other.filter(|_| runs) {
                        reason = format!("{reason}, taken over from execution {}", other.execution);
                    }
                    if claim.keeps_instance() && cordon_call.asked_to_terminate.is_none() {
                        reason = format!(
                            "{reason}; its instance stays, as a person asked before (\"terminate\": true ends it)"
                        );
                    }
                    claim
                }
            };
            if change == NodeChange::default() || self.nodes.change(&node, &change).await? == Changed::Done {
                facts.wishes = Some(Wishes {
                    node: Subject {
                        hook: claim.hook,
                        ..subject.with_node(&node)
                    },
                    deadline: claim.deadline,
                    terminate: claim.terminate,
                    replace: claim.replace,
                    reclaimed: claim.reclaimed,
                });
                return Ok(Answer::new(CordonOutcome::Cordoned, reason, facts));
            }
        }
        Ok(Answer::new(
            CordonOutcome::Absent,
            subject.no_node(),
            Facts::default(),
        ))
    }
}

impl<N: Nodes, E: Executions, C: Clock> CordonNode<N, E, C> {
    /// Where the execution stands whose claim decides.
    async fn rival(&self, mine: &Claim, other: Option<&Claim>) -> Result<Run> {
        match mine.rival(other) {
            Some(rival) => self.executions.run(rival).await,
            None => Ok(Run::Over),
        }
    }

    async fn plan(&self, call: &CordonCall) -> Result<Answer<CordonOutcome, Plan>> {
        let node = self.nodes.find(&call.call.node, Duration::ZERO).await?;
        let mine = call.claim();
        let other = node.as_ref().and_then(Claim::on);
        let runs = self.rival(&mine, other.as_ref()).await? == Run::Running;
        let plan = plan::cordon(node.as_ref(), mine, runs, self.clock.now());
        Ok(Answer::new(CordonOutcome::Planned, plan.reason(), plan))
    }
}

impl<N: Nodes, E: Executions, C: Clock> Serve for CordonNode<N, E, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: CordonCall = Call::read(&payload)?;
        if call.call.plan {
            return Ok(Reply::of(&self.plan(&call).await?)?.about(&call.call.node));
        }
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.call.node))
    }
}
