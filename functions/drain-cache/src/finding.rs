//! Looks for the node of an instance, and for the worker that is to be drained.

use std::time::Duration;

use tidegate_domain::cache::{Sighting, Worker, WorkerState, several_live};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::Node;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Nodes, Pods, WorkerReport};
use tidegate_domain::subject::Subject;

use super::{DrainCache, Session};

/// So many looks, a second apart, must find no worker of an instance that runs and has no Node object. A worker registers
/// again within seconds after its master has started.
pub(super) const LOOKS_FOR_A_WORKER: u32 = 5;

impl<Cluster, Master, Workers, C> DrainCache<Cluster, Master, Workers, C>
where
    Cluster: Nodes + Pods,
    Master: CacheMaster,
    Workers: CacheWorker,
{
    /// The Node object. One that is not there is looked for again by the next call: that search reads a listing.
    pub(super) async fn node(&self, session: &mut Session) -> Result<Option<Node>> {
        if session.nodeless {
            return Ok(None);
        }
        let node = self.cluster.find(&session.call.node, Duration::ZERO).await?;
        match &node {
            Some(node) => session.call.node = session.call.node.with_node(node),
            None => session.nodeless = true,
        }
        Ok(node)
    }

    /// What is to be seen of the worker now.
    pub(super) async fn sight<'a>(
        &self,
        subject: &'a Subject,
        node: Option<&'a Node>,
    ) -> Result<Sighting<'a>> {
        let mut sighting = Sighting::new(subject, node);
        if subject.terminated() {
            return Ok(sighting);
        }
        for address in sighting.addresses() {
            if let Some(worker) = self.master.worker(&address).await? {
                sighting.note(&address, worker);
            }
        }
        if let Some(name) = sighting.node_name()
            && sighting.needs_pods()
        {
            let only = Some((self.namespace.as_str(), names::WORKER_POD_SELECTOR));
            sighting.pods = self
                .cluster
                .on_node(name, only, Duration::ZERO, &|_| true)
                .await?;
        }
        if let Some(worker) = sighting.needs_answer() {
            sighting.answers = self.workers.load(worker).await?.is_some();
        }
        Ok(sighting)
    }

    /// Why a worker must not be taken for the node's only one, or none: the master has another one in service under the
    /// same host. It answers a question about a host with one worker.
    pub(super) async fn twin(&self, worker: &Worker) -> Result<Option<String>>
    where
        Master: WorkerReport,
    {
        let every = self.master.every_worker().await?;
        let twins: Vec<_> = every
            .iter()
            .filter(|other| other.state == WorkerState::Live && other.host == worker.host)
            .map(|other| format!("{}:{}", other.host, other.rpc_port))
            .collect();
        let names: Vec<_> = twins.iter().map(String::as_str).collect();
        Ok((twins.len() > 1).then(|| several_live(&worker.host, &names)))
    }
}

#[cfg(test)]
mod tests;
