//! What is differs from what should be: looks at all of it, says what differs, and sets right what may be.

mod looking;
mod repairing;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::drift::{
    Budget, Choice, ClusterView, ExecutionsView, GroupsView, LifecycleActions, Memory, Repair, Report,
    Request, Scope, Talk, Told, WorkersView, choose, judge,
};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, CheckOutcome};
use tidegate_domain::ports::{Clock, Instances, Nodes, Volumes};
use tidegate_lambda::{Call, Reply, Serve, Unit};

/// What failed is looked for so far back where no earlier check says since when.
const FIRST_LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// No repair is begun after so long: a function has 30 s, and the next check goes on.
const LAST_REPAIR: Duration = Duration::from_secs(20);

/// The function.
pub struct CheckDrift<Groups, Ec2, Machines, Cluster, Master, C> {
    /// Auto Scaling.
    pub groups: Groups,
    /// EC2.
    pub instances: Ec2,
    /// Step Functions.
    pub machines: Machines,
    /// The cluster.
    pub cluster: Cluster,
    /// The Alluxio master.
    pub master: Master,
    /// Time.
    pub clock: C,
    /// What is ours.
    pub scope: Scope,
    /// How often repairs may happen.
    pub budget: Budget,
    /// The groups that are looked after.
    pub group_names: Vec<String>,
    /// The event rules that must be there.
    pub rule_names: Vec<String>,
    /// The cluster's name: the dimension of the metrics.
    pub cluster_name: String,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckCall {
    /// The execution's input.
    pub input: Value,
    /// The event rules of the stack as EventBridge lists them; none where it did not.
    pub rules: Option<Vec<ListedRule>>,
}

/// An event rule as EventBridge lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedRule {
    /// Its name.
    pub name: String,
    /// `ENABLED`, `DISABLED`, ...
    pub state: String,
}

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// The rules that the state machine enables.
    pub rules_to_enable: Vec<String>,
    /// What this check leaves for the next one.
    pub memory: Memory,
}

impl<Groups, Ec2, Machines, Cluster, Master, C> CheckDrift<Groups, Ec2, Machines, Cluster, Master, C>
where
    Groups: GroupsView + LifecycleActions,
    Ec2: Instances,
    Machines: ExecutionsView,
    Cluster: ClusterView + Nodes + Volumes,
    Master: WorkersView,
    C: Clock,
{
    async fn answer(&self, call: &CheckCall) -> Result<Answer<CheckOutcome, Facts>> {
        let began = self.clock.now();
        let mut request = Request::read(&call.input)?;
        let before = self.machines.memory().await?;
        let since = before.checked_at.unwrap_or(began - FIRST_LOOK_BACK);
        let snapshot = self.look(call.rules.as_deref(), since).await;
        let manifests = snapshot.manifests.as_ref().ok();
        let destroying = manifests.and_then(|manifests| manifests.destroying_since.clone());
        // What is taken away differs from what should be, and is not set right.
        request.plan |= destroying.is_some();
        let now = self.clock.now();
        let judgement = judge(&snapshot, &self.scope, now);
        let unseen = judgement.unseen.clone();
        let (told, memory) = before.with(judgement, now);
        let groups = snapshot.groups.as_deref().unwrap_or_default();
        let running = snapshot.executions.as_ref().map_or(&[][..], |seen| &seen.running);
        let looks = before.looks(now);
        let choices = choose(&told, &request, self.budget, groups, running, looks);
        let rules_to_enable = rules_to_enable(&told, &choices);
        let talks = self.set_right(&told, choices, began).await;
        let report = Report::of(request.plan, &told, &talks, &unseen, now);
        let outcome = match (report.found, unseen.is_empty()) {
            (0, true) => CheckOutcome::Consistent,
            (0, false) => CheckOutcome::Unseen,
            _ => CheckOutcome::Drifted,
        };
        let facts = Facts {
            rules_to_enable,
            // A plan changes nothing, not even what is remembered.
            memory: if request.plan { before } else { memory },
            report,
        };
        let mut reason = facts.report.reason();
        if let Some(since) = destroying {
            reason = format!("the cluster is being destroyed since {since}: {reason}");
        }
        Ok(Answer::new(outcome, reason, facts))
    }

    /// Carries out what was chosen, a few at a time.
    async fn set_right(&self, told: &[Told], choices: Vec<Choice>, began: Timestamp) -> Vec<Talk> {
        /// Each is a few calls of some milliseconds.
        const AT_ONCE: usize = 8;
        let mut talks: Vec<_> = choices.iter().cloned().map(Talk::from).collect();
        let chosen: Vec<_> = (0..told.len())
            .filter(|index| choices[*index] == Choice::Repair)
            .collect();
        for some in chosen.chunks(AT_ONCE) {
            let now = self.clock.now();
            if now.duration_since(began) > SignedDuration::try_from(LAST_REPAIR).unwrap_or_default() {
                break;
            }
            let repaired = some
                .iter()
                .map(|index| self.repair(&told[*index].finding.repair, now));
            for (index, talk) in some.iter().zip(futures::future::join_all(repaired).await) {
                talks[*index] = talk.unwrap_or_else(|error| Talk::Failed(error.message));
            }
        }
        talks
    }
}

/// The state machine enables rules by itself: no function may.
fn rules_to_enable(told: &[Told], choices: &[Choice]) -> Vec<String> {
    let chosen = told.iter().zip(choices);
    chosen
        .filter_map(|(told, choice)| match (&told.finding.repair, choice) {
            (Repair::EnableRule(name), Choice::Repair) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

impl<Groups, Ec2, Machines, Cluster, Master, C> Serve
    for CheckDrift<Groups, Ec2, Machines, Cluster, Master, C>
where
    Groups: GroupsView + LifecycleActions,
    Ec2: Instances,
    Machines: ExecutionsView,
    Cluster: ClusterView + Nodes + Volumes,
    Master: WorkersView,
    C: Clock,
{
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: CheckCall = Call::read(&payload)?;
        let answer = self.answer(&call).await?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let report = &answer.facts.report;
        let reply = Reply::of(&answer)?.of_cluster(&self.cluster_name);
        Ok(reply
            .metric("DriftFound", Unit::Count, count(report.found))
            .metric("DriftRepaired", Unit::Count, count(report.repaired))
            .metric("DriftRepairsFailed", Unit::Count, count(report.failed))
            .metric("DriftUnrepaired", Unit::Count, count(report.unrepaired))
            .metric("DriftUnseen", Unit::Count, count(report.unseen.len())))
    }
}
