use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::Patch;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::ports::{Changed, Nodes};
use tidegate_domain::subject::Subject;

use crate::cluster::Cluster;
use crate::errors::Asked;
use crate::node_patch::node_patch;
use crate::node_view::node_view;
use crate::watch::{Selection, Until};

const PATCH_NODES: Asked = Asked {
    verb: "patch",
    resource: "nodes",
};

impl Nodes for Cluster {
    async fn find(&self, subject: &Subject, within: Duration) -> Result<Option<Node>> {
        let api = Api::<core::Node>::all(self.client.clone());
        // The label alone is not believed: a node object may outlive its instance, or be copied.
        let ours = |node: core::Node| {
            let node = node_view(node);
            Ok(Some(node).filter(|node| subject.instance_id.matches_provider_id(&node.provider_id)))
        };
        let labelled = labelled(subject);
        if let Some(node) = self.look(&api, &labelled, &ours).await?.pop() {
            return Ok(Some(node));
        }
        let until = Until {
            within,
            enough: &|nodes| !nodes.is_empty(),
        };
        let unlabelled = self
            .look_until(&api, &unlabelled(subject), until, &ours)
            .await?
            .pop();
        if unlabelled.is_some() {
            return Ok(unlabelled);
        }
        // It may have been labelled between the two looks, by the same step of another execution: to take it for
        // absent would end a drain.
        Ok(self.look(&api, &labelled, &ours).await?.pop())
    }

    async fn change(&self, node: &Node, change: &NodeChange) -> Result<Changed> {
        let api = Api::<core::Node>::all(self.client.clone());
        let patch = Patch::Merge(node_patch(node, change));
        let params = self.patch_params();
        match self
            .send(async || api.patch(&node.name, &params, &patch).await)
            .await
        {
            Ok(_) => Ok(Changed::Done),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Changed::Conflict),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Changed::Gone),
            Err(error) => Err(self.classify(PATCH_NODES, error)),
        }
    }
}

fn labelled(subject: &Subject) -> Selection {
    Selection::by_labels(
        "nodes",
        format!("{}={}", names::INSTANCE_ID_LABEL, subject.instance_id),
    )
}

/// The nodes of the instance's type and zone that no step has labelled yet: those that are joining at this moment.
/// A node cannot be selected by its provider id.
fn unlabelled(subject: &Subject) -> Selection {
    Selection::by_labels(
        "nodes",
        format!(
            "{}={},{}={},!{}",
            names::INSTANCE_TYPE_LABEL,
            subject.instance_type,
            names::ZONE_LABEL,
            subject.availability_zone,
            names::INSTANCE_ID_LABEL
        ),
    )
}
