//! Which workers take copies, by their nodes: [`CopyTargets`].

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use tidegate_domain::cache::{TargetClaim, Worker, claim_target};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::ports::{Changed, CopyTargets, CopyWish, Nodes, Target};

use crate::cluster::Cluster;
use crate::errors::Asked;
use crate::node_view::node_view;
use crate::watch::Selection;

const GET_NODES: Asked = Asked {
    verb: "get",
    resource: "nodes",
};

impl CopyTargets for Cluster {
    /// Two requests for a worker, and a third where the claim is new: its pod by address, which names the node, and that by
    /// name. A worker that is no pod of this cluster has no node that could be drained, and nothing to note a claim on.
    async fn claim(&self, target: &Worker, draining: bool, wish: &CopyWish<'_>) -> Result<Target> {
        let pods = Api::<core::Pod>::namespaced(self.client.clone(), wish.namespace);
        let selection = Selection {
            resource: "pods",
            labels: Some(names::WORKER_POD_SELECTOR.to_owned()),
            // Workers are on the host network, where a pod's address is its node's; elsewhere they tell the pod's.
            fields: Some(format!("status.podIP={}", target.address)),
        };
        let on = self
            .look(&pods, &selection, &|pod: core::Pod| {
                Ok(pod.spec.and_then(|spec| spec.node_name))
            })
            .await?;
        let Some(name) = on.first() else {
            return Ok(Target::Claimed);
        };
        let nodes = Api::<core::Node>::all(self.client.clone());
        let found = self.send(async || nodes.get_opt(name).await).await;
        let found = found.map_err(|error| self.classify(GET_NODES, error))?;
        let Some(node) = found.map(node_view) else {
            return Ok(Target::Draining);
        };
        Ok(match claim_target(&node, draining, &wish.from.host, wish.now) {
            TargetClaim::Draining => Target::Draining,
            TargetClaim::Busy(why) => Target::Busy(why),
            TargetClaim::Free(None) => Target::Claimed,
            TargetClaim::Free(Some(change)) => match self.change(&node, &change).await? {
                Changed::Done => Target::Claimed,
                Changed::Conflict => Target::Busy(format!("node {name} has changed meanwhile")),
                Changed::Gone => Target::Draining,
            },
        })
    }
}
