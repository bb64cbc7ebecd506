//! Runs an Alluxio worker on the node and opens the node once it is registered.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tidegate_domain::claim::drained_by_another;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::join::{Step, WorkerSeen, open, pull_worker_lever, runs_another_layout, worker_seen};
use tidegate_domain::names;
use tidegate_domain::node::{Node, Pod};
use tidegate_domain::outcome::{Answer, WorkerOutcome};
use tidegate_domain::plan::{Plan, schedule};
use tidegate_domain::ports::{CacheMaster, Changed, Clock, Nodes, Pods};
use tidegate_domain::subject::Subject;
use tidegate_lambda::{Call, Reply, Serve, Unit};

/// Between two looks at the Alluxio master. A worker registers within seconds of its start.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The function.
pub struct ScheduleWorker<Cluster, Master, C> {
    /// The cluster's nodes and pods.
    pub cluster: Cluster,
    /// The Alluxio master.
    pub master: Master,
    /// Time.
    pub clock: C,
    /// How long a call watches for the worker.
    pub watch_seconds: u32,
    /// Where the workers run.
    pub namespace: String,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The worker's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The capacity that the worker registered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// The join gives way to a drain of the node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// The node is cordoned, and no drain did it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
}

/// Where a look found the node and its worker.
enum Look {
    Done(Answer<WorkerOutcome, Facts>),
    NotYet(String, Facts),
}

impl<Cluster: Nodes + Pods, Master: CacheMaster, C: Clock> ScheduleWorker<Cluster, Master, C> {
    async fn answer(&self, call: &Call) -> Result<Answer<WorkerOutcome, Facts>> {
        let ends = self.clock.now() + Duration::from_secs(self.watch_seconds.into());
        loop {
            let look = match self.node_with_lever(call).await? {
                Ok(node) => self.look(call, &node).await?,
                Err(look) => look,
            };
            let (reason, facts) = match look {
                Look::Done(answer) => return Ok(answer),
                Look::NotYet(reason, facts) => (reason, facts),
            };
            let now = self.clock.now();
            if now < ends {
                self.clock.sleep(BETWEEN_LOOKS).await;
                continue;
            }
            if call.frame.expired(now) {
                return Ok(Answer::new(WorkerOutcome::Expired, reason, facts));
            }
            let again = retry_after_seconds(&call.frame, now, call.node.hook.as_ref(), self.watch_seconds);
            return Ok(Answer::again(WorkerOutcome::Waiting, reason, again, facts));
        }
    }

    /// The node, its lever pulled.
    async fn node_with_lever(&self, call: &Call) -> Result<std::result::Result<Node, Look>> {
        let subject = &call.node;
        let Some(node) = self.cluster.find(subject, Duration::ZERO).await? else {
            let reason = format!("instance {} is no node at the moment", subject.instance_id);
            return Ok(Err(Look::NotYet(reason, Facts::default())));
        };
        let facts = Facts {
            node_name: Some(node.name.clone()),
            draining: drained_by_another(&node),
            ..Facts::default()
        };
        match pull_worker_lever(&node, subject, &call.execution) {
            Step::Superseded(reason) => Ok(Err(Look::Done(Answer::new(
                WorkerOutcome::Superseded,
                reason,
                facts,
            )))),
            Step::Nothing => Ok(Ok(node)),
            Step::Change(change) => {
                if let Some(reason) = self.other_worker(subject, &node).await? {
                    return Ok(Err(Look::NotYet(reason, facts)));
                }
                match self.cluster.change(&node, &change).await? {
                    Changed::Done => Ok(Ok(node)),
                    Changed::Conflict | Changed::Gone => Ok(Err(Look::NotYet(
                        format!("node {} has changed meanwhile", node.name),
                        facts,
                    ))),
                }
            }
        }
    }

    /// Why the label must stay as it is; none where it need not.
    async fn other_worker(&self, subject: &Subject, node: &Node) -> Result<Option<String>> {
        if !node.labels.contains_key(names::WORKER_LABEL) {
            return Ok(None);
        }
        let workers = Some((self.namespace.as_str(), names::WORKER_POD_SELECTOR));
        let any = |_: &[Pod]| true;
        let pods = self
            .cluster
            .on_node(&node.name, workers, Duration::ZERO, &any)
            .await?;
        Ok(runs_another_layout(node, subject, &pods))
    }

    async fn look(&self, call: &Call, node: &Node) -> Result<Look> {
        let subject = &call.node;
        let mut facts = Facts {
            node_name: Some(node.name.clone()),
            ..Facts::default()
        };
        let watch = Duration::from_secs(self.watch_seconds.into());
        let only = Some((self.namespace.as_str(), names::WORKER_POD_SELECTOR));
        let ready = |pods: &[Pod]| pods.iter().any(|pod| pod.ready && pod.deletion_time.is_none());
        let pods = self.cluster.on_node(&node.name, only, watch, &ready).await?;
        let pod = pods.iter().find(|pod| pod.deletion_time.is_none());
        facts.pod = pod.map(Pod::full_name);
        let Some(host) = node.internal_ip.as_deref().filter(|_| pod.is_some()) else {
            let layout = subject.disk_layout.as_str();
            let reason = if self
                .cluster
                .worker_daemon_set_exists(&self.namespace, layout)
                .await?
            {
                format!("no worker pod on node {} yet", node.name)
            } else {
                format!(
                    "no DaemonSet in namespace {} runs workers for disk layout {layout}",
                    self.namespace
                )
            };
            return Ok(Look::NotYet(reason, facts));
        };
        let worker = if ready(&pods) {
            self.master.worker(host).await?
        } else {
            None
        };
        let lost = if worker.is_some() {
            self.master.lost_storage(host).await?
        } else {
            Vec::new()
        };
        facts.capacity_bytes = worker.as_ref().map(|worker| worker.capacity_bytes);
        match worker_seen(pod, worker.as_ref(), &lost, &subject.disks, self.clock.now()) {
            WorkerSeen::NotYet(reason) => Ok(Look::NotYet(reason, facts)),
            WorkerSeen::Unfit(reason) => Ok(Look::Done(Answer::new(WorkerOutcome::Unfit, reason, facts))),
            WorkerSeen::InService => self.open(call, facts).await,
        }
    }

    /// Opens the node as it is now: a drain may have begun since it was last seen.
    async fn open(&self, call: &Call, mut facts: Facts) -> Result<Look> {
        let Some(node) = self.cluster.find(&call.node, Duration::ZERO).await? else {
            let reason = format!("instance {} is no node any more", call.node.instance_id);
            return Ok(Look::NotYet(reason, facts));
        };
        let change = match open(&node, &call.execution) {
            Step::Superseded(reason) => {
                facts.draining = drained_by_another(&node);
                return Ok(Look::Done(Answer::new(WorkerOutcome::Superseded, reason, facts)));
            }
            Step::Nothing => None,
            Step::Change(change) => Some(change),
        };
        if let Some(change) = change
            && self.cluster.change(&node, &change).await? != Changed::Done
        {
            return Ok(Look::NotYet(
                format!("node {} has changed meanwhile", node.name),
                facts,
            ));
        }
        facts.cordoned = node.unschedulable;
        let reason = opened(&node);
        Ok(Look::Done(Answer::new(WorkerOutcome::Ready, reason, facts)))
    }
}

/// What a join says in the end. Tidegate cordons a node only to drain it, so the cordon of a node that joins is somebody
/// else's, or was left by a drain that was undone; it stays.
fn opened(node: &Node) -> String {
    let name = &node.name;
    if node.unschedulable {
        format!(
            "the worker of node {name} is in service, but the node is cordoned, not by Tidegate: no pod is scheduled onto \
             it until somebody uncordons it (kubectl uncordon {name})"
        )
    } else {
        format!("node {name} is open, its worker in service")
    }
}

impl<Cluster: Nodes + Pods, Master: CacheMaster, C: Clock> ScheduleWorker<Cluster, Master, C> {
    async fn plan(&self, call: &Call) -> Result<Answer<WorkerOutcome, Plan>> {
        let node = self.cluster.find(&call.node, Duration::ZERO).await?;
        let layout = call.node.disk_layout.as_str();
        let daemon_set = self
            .cluster
            .worker_daemon_set_exists(&self.namespace, layout)
            .await?;
        let worker = match node.as_ref().and_then(|node| node.internal_ip.as_deref()) {
            Some(host) => self.master.worker(host).await?,
            None => None,
        };
        let plan = schedule(node.as_ref(), &call.node, daemon_set, worker.as_ref());
        Ok(Answer::new(WorkerOutcome::Planned, plan.reason(), plan))
    }
}

impl<Cluster: Nodes + Pods, Master: CacheMaster, C: Clock> Serve for ScheduleWorker<Cluster, Master, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: Call = Call::read(&payload)?;
        if call.plan {
            return Ok(Reply::of(&self.plan(&call).await?)?.about(&call.node));
        }
        let answer = self.answer(&call).await?;
        let reply = Reply::of(&answer)?.about(&call.node);
        if answer.outcome != WorkerOutcome::Ready {
            return Ok(reply);
        }
        let seconds = u64::try_from(call.frame.age_seconds(self.clock.now())).unwrap_or_default();
        Ok(reply.metric("JoinSeconds", Unit::Seconds, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cordon_of_somebody_else_is_told() {
        let mut node = Node {
            name: "node-1".into(),
            ..Node::default()
        };
        assert_eq!(opened(&node), "node node-1 is open, its worker in service");
        node.unschedulable = true;
        assert!(
            opened(&node).contains("cordoned, not by Tidegate"),
            "{}",
            opened(&node)
        );
    }
}
