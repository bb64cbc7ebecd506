//! Takes the decommissioned worker and its volumes away.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tidegate_domain::cache::{Sighting, Worker, WorkerState};
use tidegate_domain::claim::taken_over;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{ClaimRef, Node, Pod, Volume, VolumePhase};
use tidegate_domain::outcome::{Answer, RetireOutcome};
use tidegate_domain::plan::{self, Plan};
use tidegate_domain::ports::{CacheMaster, Changed, Claims, Clock, Nodes, Pods, Volumes};
use tidegate_domain::resolve::Direction;
use tidegate_domain::retire::{
    ClaimFate, VolumeFate, claim_fate, in_service, may_be_ours, pull_levers, volume_fate,
};
use tidegate_domain::subject::Subject;
use tidegate_lambda::{Call, Reply, Serve, Unit};

/// The function.
pub struct RetireWorker<Cluster, Master, C> {
    /// The cluster's nodes, pods and volumes.
    pub cluster: Cluster,
    /// The Alluxio master.
    pub master: Master,
    /// Time.
    pub clock: C,
    /// How long a call watches the worker and its volumes go.
    pub watch_seconds: u32,
    /// Where the workers run.
    pub namespace: String,
}

/// What was seen and done in this call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Volumes that were deleted.
    pub deleted_volumes: Vec<String>,
    /// Volumes that carry the node's label and are not the node's: left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign_volumes: Vec<String>,
    /// Claims on volumes of the node that are not our worker's: left alone, with their volumes, and not waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign_claims: Vec<String>,
}

impl<Cluster: Nodes + Pods + Volumes + Claims, Master: CacheMaster, C: Clock>
    RetireWorker<Cluster, Master, C>
{
    async fn answer(&self, call: &Call) -> Result<Answer<RetireOutcome, Facts>> {
        let mut facts = Facts::default();
        let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
            let workers = self.workers(&call.node, None).await?;
            return Ok(match workers.iter().find_map(|worker| in_service(Some(worker))) {
                Some(reason) => Answer::new(RetireOutcome::InService, reason, facts),
                None => Answer::new(RetireOutcome::Absent, call.node.no_node(), facts),
            });
        };
        facts.node_name = Some(node.name.clone());
        if let Some(reason) = taken_over(&node, &call.execution, Direction::Drain) {
            return Ok(Answer::new(RetireOutcome::Superseded, reason, facts));
        }
        let workers = self.workers(&call.node, Some(&node)).await?;
        if let Some(reason) = workers.iter().find_map(|worker| in_service(Some(worker))) {
            return Ok(Answer::new(RetireOutcome::InService, reason, facts));
        }
        if let Some(change) = pull_levers(&node) {
            if let Some(reason) = self.keep_out_of_service(&workers).await? {
                return Ok(Answer::again(RetireOutcome::Waiting, reason, 1, facts));
            }
            if self.cluster.change(&node, &change).await? == Changed::Conflict {
                let reason = format!("node {} has changed meanwhile", node.name);
                return Ok(Answer::again(RetireOutcome::Waiting, reason, 1, facts));
            }
        }
        let waiting = match self.pods_left(&node).await? {
            Some(reason) => Some(reason),
            None => self.volumes_left(call, &node, &mut facts).await?,
        };
        let Some(reason) = waiting else {
            let mut reason = format!(
                "worker of node {} is gone, and {} volumes",
                node.name,
                facts.deleted_volumes.len()
            );
            if !facts.foreign_claims.is_empty() {
                reason = format!("{reason}; left alone: {}", facts.foreign_claims.join("; "));
            }
            return Ok(Answer::new(RetireOutcome::Retired, reason, facts));
        };
        let now = self.clock.now();
        let again = retry_after_seconds(&call.frame, now, call.node.hook.as_ref(), self.watch_seconds);
        Ok(Answer::again(RetireOutcome::Waiting, reason, again, facts))
    }

    /// What the master knows at the addresses of the instance.
    async fn workers(&self, subject: &Subject, node: Option<&Node>) -> Result<Vec<Worker>> {
        let mut workers = Vec::new();
        if subject.terminated() {
            // Its address may be another instance's by now.
            return Ok(workers);
        }
        for address in Sighting::new(subject, node).addresses() {
            workers.extend(self.master.worker(&address).await?);
        }
        Ok(workers)
    }

    /// Decommissions its workers once more: a decommission expires after minutes, and the drain may have waited longer for
    /// pods. A worker that registers again while its pod ends would take writes that nobody looks for. Why one cannot be
    /// decommissioned just now, or none.
    async fn keep_out_of_service(&self, workers: &[Worker]) -> Result<Option<String>> {
        let decommissioned = |worker: &&Worker| worker.state == WorkerState::Decommissioned;
        for worker in workers.iter().filter(decommissioned) {
            if self.master.decommission(worker).await? == Changed::Conflict {
                return Ok(Some(format!("worker {} is just registering", worker.host)));
            }
        }
        Ok(None)
    }

    /// Watches the worker's pod go; why it has not yet, or none.
    async fn pods_left(&self, node: &Node) -> Result<Option<String>> {
        let only = Some((self.namespace.as_str(), names::WORKER_POD_SELECTOR));
        let watch = Duration::from_secs(self.watch_seconds.into());
        let pods = self
            .cluster
            .on_node(&node.name, only, watch, &<[Pod]>::is_empty)
            .await?;
        Ok(pods.first().map(|pod| match pod.deletion_time {
            Some(end) => format!("pod {} has until {end} to end", pod.full_name()),
            None => format!("pod {} is not being deleted yet", pod.full_name()),
        }))
    }

    /// Deletes the worker's claims and the node's volumes, and watches them go; what is left, or none.
    async fn volumes_left(&self, call: &Call, node: &Node, facts: &mut Facts) -> Result<Option<String>> {
        let id = &call.node.instance_id;
        let ends = self.clock.now() + Duration::from_secs(self.watch_seconds.into());
        loop {
            let volumes = self.cluster.of_instance(id, Duration::ZERO, &|_| true).await?;
            let mut waited_for = Vec::new();
            facts.foreign_volumes.clear();
            facts.foreign_claims.clear();
            for volume in &volumes {
                match volume_fate(volume, node) {
                    VolumeFate::Delete => {
                        self.delete(volume, facts).await?;
                    }
                    VolumeFate::Bound(claim) => match self.claim_fate(&claim).await? {
                        ClaimFate::Delete => {
                            self.cluster.delete_claim(&claim).await?;
                            waited_for.push(volume);
                        }
                        ClaimFate::Gone => waited_for.push(volume),
                        ClaimFate::Foreign(reason) => facts.foreign_claims.push(reason),
                    },
                    VolumeFate::Foreign(reason) => facts.foreign_volumes.push(reason),
                }
            }
            if waited_for.is_empty() {
                return Ok(None);
            }
            let left = Duration::try_from(ends.duration_since(self.clock.now())).unwrap_or_default();
            if left.is_zero() {
                let names: Vec<_> = waited_for.iter().map(|volume| volume.name.as_str()).collect();
                return Ok(Some(format!("volumes {} are still bound", names.join(", "))));
            }
            let unbound = |volumes: &[Volume]| {
                !volumes.iter().any(|volume| {
                    let bound = matches!(volume_fate(volume, node), VolumeFate::Bound(_));
                    bound && waited_for.iter().any(|waited_for| waited_for.uid == volume.uid)
                })
            };
            self.cluster.of_instance(id, left, &unbound).await?;
        }
    }

    async fn claim_fate(&self, claim: &ClaimRef) -> Result<ClaimFate> {
        let found = if may_be_ours(claim, &self.namespace) {
            self.cluster.claim(claim).await?
        } else {
            None
        };
        Ok(claim_fate(claim, &self.namespace, found.as_ref()))
    }

    async fn delete(&self, volume: &Volume, facts: &mut Facts) -> Result<()> {
        // A volume that a finalizer still holds is seen, and deleted, again.
        let deleted = Volumes::delete(&self.cluster, volume).await? == Changed::Done;
        if deleted && !facts.deleted_volumes.contains(&volume.name) {
            facts.deleted_volumes.push(volume.name.clone());
        }
        Ok(())
    }
}

impl<Cluster: Nodes + Pods + Volumes + Claims, Master: CacheMaster, C: Clock>
    RetireWorker<Cluster, Master, C>
{
    async fn plan(&self, call: &Call) -> Result<Plan> {
        let node = self.cluster.find(&call.node, Duration::ZERO).await?;
        let id = &call.node.instance_id;
        let volumes = self.cluster.of_instance(id, Duration::ZERO, &|_| true).await?;
        let mut claims = Vec::new();
        let bound = volumes
            .iter()
            .filter(|volume| volume.phase == VolumePhase::Bound)
            .filter_map(|volume| volume.claim.clone());
        for claim in bound {
            let fate = self.claim_fate(&claim).await?;
            claims.push((claim, fate));
        }
        Ok(plan::retire(node.as_ref(), &volumes, &claims))
    }
}

impl<Cluster: Nodes + Pods + Volumes + Claims, Master: CacheMaster, C: Clock> Serve
    for RetireWorker<Cluster, Master, C>
{
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: Call = Call::read(&payload)?;
        if call.plan {
            let plan = self.plan(&call).await?;
            let answer = Answer::new(RetireOutcome::Planned, plan.reason(), plan);
            return Ok(Reply::of(&answer)?.about(&call.node));
        }
        let answer = self.answer(&call).await?;
        let reply = Reply::of(&answer)?.about(&call.node);
        if answer.outcome != RetireOutcome::Retired {
            return Ok(reply);
        }
        let seconds = u64::try_from(call.frame.age_seconds(self.clock.now())).unwrap_or_default();
        Ok(reply.metric("DrainSeconds", Unit::Seconds, seconds))
    }
}
