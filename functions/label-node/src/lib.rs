//! Finds the node of an instance and labels it with what is known of its disks.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::join::{Step, label};
use tidegate_domain::node::Node;
use tidegate_domain::outcome::{Answer, LabelOutcome};
use tidegate_domain::ports::{Changed, Clock, Nodes};
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct LabelNode<N, C> {
    /// The cluster's nodes.
    pub nodes: N,
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
    /// The node, once it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

impl Facts {
    fn of(node: &Node) -> Self {
        Self {
            node_name: Some(node.name.clone()),
        }
    }
}

impl<N: Nodes, C: Clock> LabelNode<N, C> {
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
            let facts = Facts::of(&node);
            let change = match label(&node, subject) {
                Step::Superseded(reason) => return Ok(Answer::new(LabelOutcome::Superseded, reason, facts)),
                Step::Nothing => {
                    return Ok(Answer::new(
                        LabelOutcome::Labelled,
                        format!("node {} is labelled", node.name),
                        facts,
                    ));
                }
                Step::Change(change) => change,
            };
            if self.nodes.change(&node, &change).await? == Changed::Done {
                let layout = &subject.disk_layout;
                let reason = format!("node {} is labelled: disks {layout}", node.name);
                return Ok(Answer::new(LabelOutcome::Labelled, reason, facts));
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
}

impl<N: Nodes, C: Clock> Serve for LabelNode<N, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: Call = Call::read(&payload)?;
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.node))
    }
}
