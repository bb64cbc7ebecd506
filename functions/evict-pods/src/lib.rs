//! Cordons the node and evicts its pods within their disruption budgets.

mod round;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::claim::taken_over;
use tidegate_domain::cordon::cordon;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::evict::{Fate, Patience, Way, fate, settled, way};
use tidegate_domain::node::{Node, Pod};
use tidegate_domain::outcome::{Answer, EvictOutcome};
use tidegate_domain::plan::{self, EvictionTrial, Plan, leaving};
use tidegate_domain::ports::{Clock, Nodes, Pods};
use tidegate_domain::resolve::Direction;
use tidegate_lambda::{Call, Reply, Serve};

use crate::round::Round;

/// Between two rounds of evictions: a budget that was used up may have room again.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(5);

/// The function.
pub struct EvictPods<Cluster, C> {
    /// The cluster's nodes and pods.
    pub cluster: Cluster,
    /// Time.
    pub clock: C,
    /// How long a call watches the pods go.
    pub watch_seconds: u32,
    /// How long disruption budgets are respected.
    pub patience: Patience,
}

/// The call: what the execution has done so far comes with it.
#[derive(Clone, Debug, Deserialize)]
pub struct EvictCall {
    #[serde(flatten)]
    call: Call,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    #[serde(default)]
    reclaimed: bool,
    #[serde(default)]
    progress: Option<Progress>,
}

/// What an execution has done, carried from call to call so that the last one can tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the names that an answer has for them")]
pub struct Progress {
    /// Evictions that were accepted.
    evicted_pods: u32,
    /// The first pods that were deleted past their budgets.
    forced_pods: Vec<String>,
    /// The UIDs of pods whose eviction took seconds to be refused. They are asked for after all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slow_pods: Vec<String>,
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
    /// Pods that cannot go yet and are waited for, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_pods: Vec<String>,
    /// Pods that stay on the node and are not waited for, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remaining_pods: Vec<String>,
    /// Pods that are still waited for.
    pub pods_left: usize,
    /// For the next call.
    pub progress: Progress,
}

impl<Cluster: Nodes + Pods, C: Clock> EvictPods<Cluster, C> {
    async fn answer(&self, evict_call: EvictCall) -> Result<Answer<EvictOutcome, Facts>> {
        let EvictCall {
            call,
            reclaimed,
            progress,
        } = evict_call;
        let began = self.clock.now();
        let ends = began + Duration::from_secs(self.watch_seconds.into());
        let mut round = Round::after(progress.unwrap_or_default(), began);
        let node = loop {
            let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
                let reason = call.node.no_node();
                return Ok(Answer::new(EvictOutcome::Absent, reason, round.done()));
            };
            if let Some(reason) = taken_over(&node, &call.execution, Direction::Drain) {
                return Ok(Answer::new(EvictOutcome::Superseded, reason, round.done()));
            }
            let Some(change) = cordon(&node, self.clock.now()) else {
                break node;
            };
            self.cluster.change(&node, &change).await?;
        };
        let since = node.draining_since().unwrap_or(began);
        let patience_ends = |pod: &Pod| {
            self.patience
                .ends(&call.frame, reclaimed, pod.grace_period_seconds)
        };
        loop {
            let pods = self
                .cluster
                .on_node(&node.name, None, Duration::ZERO, &|_| true)
                .await?;
            round.begin(&pods);
            for pod in round.in_order(&pods) {
                let now = self.clock.now();
                if fate(pod, &node, now) != Fate::Leaves || round.must_skip(pod, now) {
                    continue;
                }
                let expired = call.frame.expired(now);
                match way(pod, patience_ends(pod), now) {
                    Way::Eviction => round.evicted(pod, self.cluster.evict(pod).await?, expired),
                    Way::Deletion => round.deleted(pod, self.cluster.delete(pod).await?, expired),
                }
            }
            let waits_for = |pod: &Pod, now| round.waits_for(pod, &node, now);
            let left = self.wait_for_round(&node, ends, &pods, &waits_for).await?;
            let now = self.clock.now();
            let facts = round.seen(&node, &left, now);
            if facts.pods_left == 0 && settled(since, now) {
                let reason = format!("node {} is cordoned and {}", node.name, cleared(&facts));
                return Ok(Answer::new(EvictOutcome::Evicted, reason, facts));
            }
            if now >= ends {
                let again =
                    retry_after_seconds(&call.frame, now, call.node.hook.as_ref(), self.watch_seconds);
                let waited_for: Vec<_> = left.iter().filter(|pod| waits_for(pod, now)).collect();
                // Rarely as it may be asked by then, a deletion must not be late.
                let next = waited_for
                    .iter()
                    .map(|pod| patience_ends(pod))
                    .filter(|patience_ends| *patience_ends > now)
                    .min();
                let again = next.map_or(again, |next| again.min(seconds_until(next, now)));
                let reason = waiting(&node, &facts, &waited_for);
                return Ok(Answer::again(EvictOutcome::Waiting, reason, again, facts));
            }
        }
    }

    /// Watches the pods go until the round, or the call, is over; answers those that are there then.
    async fn wait_for_round(
        &self,
        node: &Node,
        ends: Timestamp,
        pods: &[Pod],
        waits_for: &dyn Fn(&Pod, Timestamp) -> bool,
    ) -> Result<Vec<Pod>> {
        let now = self.clock.now();
        let left = Duration::try_from(ends.duration_since(now))
            .unwrap_or_default()
            .min(BETWEEN_ROUNDS);
        let clear = |pods: &[Pod]| {
            let now = self.clock.now();
            !pods.iter().any(|pod| waits_for(pod, now))
        };
        let watch = if clear(pods) {
            // Nothing goes that could be watched; a pod may still come that was bound before the cordon was seen.
            self.clock.sleep(left).await;
            Duration::ZERO
        } else {
            left
        };
        self.cluster.on_node(&node.name, None, watch, &clear).await
    }
}

/// Whole seconds until then, at least one.
fn seconds_until(then: Timestamp, now: Timestamp) -> u32 {
    let seconds = then.duration_since(now).as_secs().max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn cleared(facts: &Facts) -> String {
    let mut text = match facts.remaining_pods.as_slice() {
        [] => "clear of pods".to_owned(),
        remaining => format!(
            "clear of pods but for those that are not waited for: {}",
            remaining.join("; ")
        ),
    };
    if !facts.forced_pods.is_empty() {
        text = format!(
            "{text}; deleted past their disruption budgets: {}",
            facts.forced_pods.join(", ")
        );
    }
    text
}

fn waiting(node: &Node, facts: &Facts, waited_for: &[&Pod]) -> String {
    let mut text = format!("{} pods are left on node {}", facts.pods_left, node.name);
    if !facts.blocked_pods.is_empty() {
        text = format!("{text}; blocked: {}", facts.blocked_pods.join("; "));
    }
    let last = waited_for
        .iter()
        .filter_map(|pod| Some((pod.deletion_time?, pod.full_name())))
        .max();
    if let Some((end, name)) = last {
        text = format!("{text}; the last grace period ends at {end} (pod {name})");
    }
    if !facts.remaining_pods.is_empty() {
        text = format!("{text}; not waited for: {}", facts.remaining_pods.join("; "));
    }
    text
}

impl<Cluster: Nodes + Pods + EvictionTrial, C: Clock> EvictPods<Cluster, C> {
    async fn plan(&self, call: &Call) -> Result<Answer<EvictOutcome, Plan>> {
        let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
            let reason = call.node.no_node();
            return Ok(Answer::new(EvictOutcome::Planned, reason, Plan::default()));
        };
        let pods = self
            .cluster
            .on_node(&node.name, None, Duration::ZERO, &|_| true)
            .await?;
        let mut trials = Vec::new();
        for pod in leaving(&pods, &node, self.clock.now()) {
            trials.push((pod, self.cluster.try_evict(pod).await?));
        }
        let plan = plan::evict(&trials);
        Ok(Answer::new(EvictOutcome::Planned, plan.reason(), plan))
    }
}

impl<Cluster: Nodes + Pods + EvictionTrial, C: Clock> Serve for EvictPods<Cluster, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let evict_call: EvictCall = Call::read(&payload)?;
        let subject = evict_call.call.node.clone();
        if evict_call.call.plan {
            return Ok(Reply::of(&self.plan(&evict_call.call).await?)?.about(&subject));
        }
        let answer = self.answer(evict_call).await?;
        Ok(Reply::of(&answer)?.about(&subject))
    }
}
