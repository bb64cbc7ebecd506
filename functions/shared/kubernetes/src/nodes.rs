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

const GET_NODES: Asked = Asked {
    verb: "get",
    resource: "nodes",
};
const PATCH_NODES: Asked = Asked {
    verb: "patch",
    resource: "nodes",
};

impl Nodes for Cluster {
    async fn find(&self, subject: &Subject, within: Duration) -> Result<Option<Node>> {
        if let Some(name) = &subject.identity.node_name {
            let named = self.node_named(name).await?.filter(|node| subject.is(node));
            // A Node object keeps its name: one that has been found before is nowhere else.
            if named.is_some() || subject.identity.node_uid.is_some() {
                return Ok(named);
            }
        }
        let api = Api::<core::Node>::all(self.client.clone());
        let ours = |node: core::Node| Ok(Some(node_view(node)).filter(|node| subject.is(node)));
        let labelled = labelled(subject);
        if let Some(node) = self.look(&api, &labelled, &ours).await?.pop() {
            return Ok(Some(node));
        }
        if subject.terminated() {
            // What its name and the label of its drain do not find is gone, or goes with the instance. A burst of ends
            // must not read the whole group for each of them.
            return Ok(None);
        }
        let launching = subject.launching();
        let among = if launching {
            unlabelled(subject)
        } else {
            of_type_and_zone(subject)
        };
        let until = Until {
            within,
            enough: &|nodes| !nodes.is_empty(),
        };
        let found = self.look_until(&api, &among, until, &ours).await?.pop();
        if found.is_some() || !launching {
            return Ok(found);
        }
        // It may have been labelled between the two looks, by the same step of another execution.
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

impl Cluster {
    /// The Node object of that name; none where there is none.
    async fn node_named(&self, name: &str) -> Result<Option<Node>> {
        let api = Api::<core::Node>::all(self.client.clone());
        let found = self.ask_optional(GET_NODES, async || api.get(name).await).await?;
        Ok(found.map(node_view))
    }
}

fn labelled(subject: &Subject) -> Selection {
    Selection::by_labels(
        "nodes",
        format!("{}={}", names::INSTANCE_ID_LABEL, subject.instance_id),
    )
}

/// The nodes of the instance's type and zone. A node cannot be selected by its provider id.
fn of_type_and_zone(subject: &Subject) -> Selection {
    Selection::by_labels("nodes", type_and_zone(subject))
}

/// Those of them that no step has labelled yet: while many instances are launched, each looks only among the new ones.
fn unlabelled(subject: &Subject) -> Selection {
    let labels = format!("{},!{}", type_and_zone(subject), names::INSTANCE_ID_LABEL);
    Selection::by_labels("nodes", labels)
}

fn type_and_zone(subject: &Subject) -> String {
    format!(
        "{}={},{}={}",
        names::INSTANCE_TYPE_LABEL,
        subject.instance_type,
        names::ZONE_LABEL,
        subject.availability_zone
    )
}
