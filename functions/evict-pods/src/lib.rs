//! Cordons the node and evicts its pods within their disruption budgets.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::claim::taken_over;
use tidegate_domain::cordon::cordon;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::evict::{Fate, clear, fate, patience_ends, settled};
use tidegate_domain::node::{Node, Pod};
use tidegate_domain::outcome::{Answer, EvictOutcome};
use tidegate_domain::plan::{self, EvictionTrial, Plan, leaving};
use tidegate_domain::ports::{Changed, Clock, Eviction, Nodes, Pods};
use tidegate_domain::resolve::Direction;
use tidegate_lambda::{Call, Reply, Serve};

/// Between two rounds of evictions: a budget that was used up may have room again.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(5);
/// So many pods are named in an answer; all are counted.
const MOST_NAMED: usize = 20;

/// The function.
pub struct EvictPods<Cluster, C> {
    /// The cluster's nodes and pods.
    pub cluster: Cluster,
    /// Time.
    pub clock: C,
    /// How long a call watches the pods go.
    pub watch_seconds: u32,
    /// How long disruption budgets are respected.
    pub evict_limit_seconds: u32,
}

/// The call: what the execution has done so far comes with it.
#[derive(Clone, Debug, Deserialize)]
struct EvictCall {
    #[serde(flatten)]
    call: Call,
    #[serde(default)]
    progress: Option<Progress>,
}

/// What an execution has done, carried from call to call so that the last one can tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Evictions that were accepted.
    evicted_pods: u32,
    /// The first pods that were deleted past their budgets.
    forced_pods: Vec<String>,
}

/// What was seen, and done by the execution so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Evictions that were accepted.
    pub evicted_pods: u32,
    /// Pods that were deleted past their budgets, as time was up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced_pods: Vec<String>,
    /// What forbids the eviction of whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_pods: Vec<String>,
    /// Pods that are still there.
    pub pods_left: usize,
    /// For the next call.
    pub progress: Progress,
}

impl<Cluster: Nodes + Pods, C: Clock> EvictPods<Cluster, C> {
    async fn answer(&self, call: &Call, before: Progress) -> Result<Answer<EvictOutcome, Facts>> {
        let mut facts = Facts {
            evicted_pods: before.evicted_pods,
            forced_pods: before.forced_pods,
            ..Facts::default()
        };
        let ends = self.clock.now() + Duration::from_secs(self.watch_seconds.into());
        let (node, since) = loop {
            let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
                let reason = format!("instance {} is no node: no pods to evict", call.node.instance_id);
                return Ok(Answer::new(EvictOutcome::Absent, reason, facts));
            };
            if let Some(reason) = taken_over(&node, &call.execution, Direction::Drain) {
                return Ok(Answer::new(EvictOutcome::Superseded, reason, facts));
            }
            let now = self.clock.now();
            let Some(change) = cordon(&node, now) else {
                let since = node.draining_since().unwrap_or(now);
                break (node, since);
            };
            if self.cluster.change(&node, &change).await? == Changed::Done {
                let since = node.draining_since().unwrap_or(now);
                break (node, since);
            }
        };
        facts.node_name = Some(node.name.clone());
        let patience = patience_ends(
            call.frame.started_at,
            self.evict_limit_seconds,
            call.frame.deadline,
        );
        loop {
            let now = self.clock.now();
            let pods = self
                .cluster
                .on_node(&node.name, None, Duration::ZERO, &|_| true)
                .await?;
            facts.blocked_pods.clear();
            for pod in pods
                .iter()
                .filter(|pod| fate(pod, node.ready, now) == Fate::Leaves)
            {
                self.send_away(pod, now >= patience, &mut facts).await?;
            }
            let left = self.wait_for_round(&node, ends, &pods).await?;
            let now = self.clock.now();
            facts.pods_left = left
                .iter()
                .filter(|pod| fate(pod, node.ready, now) != Fate::Stays)
                .count();
            if facts.pods_left == 0 && settled(since, now) {
                let reason = format!(
                    "node {} is cordoned and clear of pods{}",
                    node.name,
                    forced(&facts)
                );
                return Ok(Answer::new(EvictOutcome::Evicted, reason, facts));
            }
            if now >= ends {
                let again =
                    retry_after_seconds(&call.frame, now, call.node.hook.as_ref(), self.watch_seconds);
                return Ok(Answer::again(
                    EvictOutcome::Waiting,
                    waiting(&node, &facts),
                    again,
                    facts,
                ));
            }
        }
    }

    async fn send_away(&self, pod: &Pod, force: bool, facts: &mut Facts) -> Result<()> {
        if force {
            let deleted = self.cluster.delete(pod).await? == Changed::Done;
            if deleted && facts.forced_pods.len() < MOST_NAMED {
                facts.forced_pods.push(pod.full_name());
            }
            return Ok(());
        }
        let blocked = match self.cluster.evict(pod).await? {
            Eviction::Accepted => {
                facts.evicted_pods += 1;
                return Ok(());
            }
            Eviction::Blocked(message) => message,
            Eviction::Throttled => "the API server is throttling".to_owned(),
        };
        if facts.blocked_pods.len() < MOST_NAMED {
            facts.blocked_pods.push(format!("{}: {blocked}", pod.full_name()));
        }
        Ok(())
    }

    /// Watches the pods go until the round, or the call, is over; answers those that are there then.
    async fn wait_for_round(&self, node: &Node, ends: Timestamp, pods: &[Pod]) -> Result<Vec<Pod>> {
        let now = self.clock.now();
        let left = Duration::try_from(ends.duration_since(now))
            .unwrap_or_default()
            .min(BETWEEN_ROUNDS);
        if clear(pods, node.ready, now) {
            // Nothing goes that could be watched; a pod may still come that was bound before the cordon was seen.
            self.clock.sleep(left).await;
        }
        let is_clear = |pods: &[Pod]| clear(pods, node.ready, self.clock.now());
        let watch = if clear(pods, node.ready, now) {
            Duration::ZERO
        } else {
            left
        };
        self.cluster.on_node(&node.name, None, watch, &is_clear).await
    }
}

fn forced(facts: &Facts) -> String {
    if facts.forced_pods.is_empty() {
        return String::new();
    }
    format!(
        "; deleted past their disruption budgets: {}",
        facts.forced_pods.join(", ")
    )
}

fn waiting(node: &Node, facts: &Facts) -> String {
    let blocked = if facts.blocked_pods.is_empty() {
        String::new()
    } else {
        format!("; blocked: {}", facts.blocked_pods.join("; "))
    };
    format!("{} pods are left on node {}{blocked}", facts.pods_left, node.name)
}

impl<Cluster: Nodes + Pods + EvictionTrial, C: Clock> EvictPods<Cluster, C> {
    async fn plan(&self, call: &Call) -> Result<Answer<EvictOutcome, Plan>> {
        let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
            let reason = format!("instance {} is no node: no pods to evict", call.node.instance_id);
            return Ok(Answer::new(EvictOutcome::Planned, reason, Plan::default()));
        };
        let pods = self
            .cluster
            .on_node(&node.name, None, Duration::ZERO, &|_| true)
            .await?;
        let mut trials = Vec::new();
        for pod in leaving(&pods, node.ready, self.clock.now()) {
            trials.push((pod, self.cluster.try_evict(pod).await?));
        }
        let plan = plan::evict(&trials);
        Ok(Answer::new(EvictOutcome::Planned, plan.reason(), plan))
    }
}

impl<Cluster: Nodes + Pods + EvictionTrial, C: Clock> Serve for EvictPods<Cluster, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let EvictCall { call, progress } = Call::read(&payload)?;
        if call.plan {
            return Ok(Reply::of(&self.plan(&call).await?)?.about(&call.node));
        }
        let mut answer = self.answer(&call, progress.unwrap_or_default()).await?;
        let Facts {
            evicted_pods,
            forced_pods,
            ..
        } = &answer.facts;
        answer.facts.progress = Progress {
            evicted_pods: *evicted_pods,
            forced_pods: forced_pods.clone(),
        };
        Ok(Reply::of(&answer)?.about(&call.node))
    }
}
