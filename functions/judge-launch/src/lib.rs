//! Whether a launch that failed is abandoned, so that its group launches another instance, or too many launches before it
//! failed alike.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::error::Result;
use tidegate_domain::launches::{
    EndedJoins, Failure, LaunchTemplates, MOST_LOOKED_INTO, Patience, Tally, Verdict,
};
use tidegate_domain::outcome::{Answer, LaunchOutcome};
use tidegate_domain::ports::Clock;
use tidegate_domain::subject::Subject;
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct JudgeLaunch<Templates, Joins, Clock> {
    /// Auto Scaling.
    pub templates: Templates,
    /// Step Functions.
    pub joins: Joins,
    /// Time.
    pub clock: Clock,
    /// When launches are no longer abandoned.
    pub patience: Patience,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchCall {
    /// The node.
    node: Subject,
    /// The ARN of the state machine.
    state_machine: String,
    /// The state in which the launch failed.
    step: String,
    /// Why it failed.
    reason: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// What this launch has in common with others that fail like it.
    pub failure: Failure,
}

impl<Templates: LaunchTemplates, Joins: EndedJoins, C: Clock> JudgeLaunch<Templates, Joins, C> {
    async fn answer(&self, call: &LaunchCall) -> Result<Answer<LaunchOutcome, Facts>> {
        let node = &call.node;
        let failure = Failure {
            step: call.step.clone(),
            launch_template: self.templates.launch_template(&node.instance_id).await?,
        };
        let verdict = self.verdict(call, &failure).await?;
        let facts = Facts { failure };
        Ok(match verdict {
            Verdict::Abandon => Answer::new(LaunchOutcome::Abandon, &call.reason, facts),
            Verdict::Keep(common) => {
                let reason = format!("{}; {common}", call.reason);
                Answer::new(LaunchOutcome::Keep, reason, facts)
            }
        })
    }

    async fn verdict(&self, call: &LaunchCall, failure: &Failure) -> Result<Verdict> {
        let now = self.clock.now();
        let mut tally = Tally::new(self.patience, &call.node.auto_scaling_group, failure);
        let listed = self
            .joins
            .ended_joins(&call.state_machine, MOST_LOOKED_INTO)
            .await?;
        for join in listed
            .iter()
            .filter(|join| self.patience.counts(join.ended_at, now))
        {
            let ended = self.joins.ended_join(&join.arn).await?;
            if let Some(verdict) = ended.and_then(|ended| tally.add(&ended)) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Abandon)
    }
}

impl<Templates: LaunchTemplates, Joins: EndedJoins, C: Clock> Serve for JudgeLaunch<Templates, Joins, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: LaunchCall = Call::read(&payload)?;
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.node))
    }
}
