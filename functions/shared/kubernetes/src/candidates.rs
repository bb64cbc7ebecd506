//! The nodes of a group's candidates, for the choice of those that go.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::Node;
use tidegate_domain::victims::{CandidateNodes, Request};

use crate::cluster::Cluster;
use crate::node_view::node_view;
use crate::watch::Selection;

impl CandidateNodes for Cluster {
    async fn candidate_nodes(&self, request: &Request) -> Result<Vec<Node>> {
        let api = Api::<core::Node>::all(self.client.clone());
        let (types, zones) = request.types_and_zones();
        let labels = format!(
            "{},{}",
            any_of(names::INSTANCE_TYPE_LABEL, &types),
            any_of(names::ZONE_LABEL, &zones)
        );
        let selection = Selection::by_labels("nodes", labels);
        self.look(&api, &selection, &|node| Ok(Some(node_view(node))))
            .await
    }
}

fn any_of(label: &str, values: &BTreeSet<&str>) -> String {
    let values: Vec<_> = values.iter().copied().collect();
    format!("{label} in ({})", values.join(","))
}
