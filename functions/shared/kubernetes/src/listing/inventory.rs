//! The cluster as a reader is shown it: one page of each listing, and of each object what a table has.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_domain::bootstrap::{DaemonSetRow, Inventory, MOST_ROWS, NodeRow, Rows, UsageRow, VolumeRow};
use tidegate_domain::error::Result;
use tidegate_domain::names;

use super::{Cluster, Page};
use crate::errors::Asked;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: Meta,
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
    unschedulable: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeStatus {
    conditions: Vec<Typed>,
    addresses: Vec<Typed>,
    node_info: NodeInfo,
}

/// A condition has a status, an address an address.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: String,
}

impl Node {
    fn row(self) -> NodeRow {
        let label = |name: &str| self.metadata.labels.get(name).cloned().unwrap_or_default();
        let ready = self
            .status
            .conditions
            .iter()
            .any(|condition| condition.kind == "Ready" && condition.status == "True");
        let cordoned = if self.spec.unschedulable {
            ",SchedulingDisabled"
        } else {
            ""
        };
        let ip = self
            .status
            .addresses
            .iter()
            .find(|address| address.kind == "InternalIP");
        NodeRow {
            status: format!("{}{cordoned}", if ready { "Ready" } else { "NotReady" }),
            internal_ip: ip.map(|address| address.address.clone()).unwrap_or_default(),
            instance: self
                .spec
                .provider_id
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            instance_type: label(names::INSTANCE_TYPE_LABEL),
            zone: label(names::ZONE_LABEL),
            worker: label(names::WORKER_LABEL),
            version: self.status.node_info.kubelet_version,
            name: self.metadata.name,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DaemonSet {
    metadata: Meta,
    status: DaemonSetStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DaemonSetStatus {
    desired_number_scheduled: u64,
    number_ready: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Volume {
    metadata: Meta,
    spec: VolumeSpec,
    status: VolumeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeSpec {
    capacity: BTreeMap<String, String>,
    persistent_volume_reclaim_policy: String,
    claim_ref: Option<Meta>,
    storage_class_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VolumeStatus {
    phase: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeMetrics {
    metadata: Meta,
    usage: BTreeMap<String, String>,
}

impl Cluster {
    async fn first<T: DeserializeOwned, V>(
        &self,
        resource: &'static str,
        path: &str,
        row: impl Fn(T) -> V,
    ) -> Result<Option<Rows<V>>> {
        let asked = Asked {
            verb: "list",
            resource,
        };
        let page: Option<Page<T>> = self.read_one(asked, &format!("{path}?limit={MOST_ROWS}")).await?;
        Ok(page.map(|page| {
            // The metrics API knows no limit.
            let listed = Rows::of(page.items.unwrap_or_default().into_iter().map(row).collect());
            Rows {
                more: listed.more + page.metadata.remaining_item_count,
                rows: listed.rows,
            }
        }))
    }
}

impl Inventory for Cluster {
    async fn node_rows(&self) -> Result<Rows<NodeRow>> {
        let rows = self.first("nodes", "/api/v1/nodes", Node::row).await?;
        Ok(rows.unwrap_or_default())
    }

    async fn daemon_set_rows(&self) -> Result<Rows<DaemonSetRow>> {
        let row = |set: DaemonSet| DaemonSetRow {
            namespace: set.metadata.namespace,
            name: set.metadata.name,
            desired: set.status.desired_number_scheduled,
            ready: set.status.number_ready,
        };
        let rows = self.first("daemonsets", "/apis/apps/v1/daemonsets", row).await?;
        Ok(rows.unwrap_or_default())
    }

    async fn volume_rows(&self) -> Result<Rows<VolumeRow>> {
        let row = |volume: Volume| VolumeRow {
            name: volume.metadata.name,
            capacity: volume.spec.capacity.get("storage").cloned().unwrap_or_default(),
            reclaim_policy: volume.spec.persistent_volume_reclaim_policy,
            phase: volume.status.phase,
            claim: volume
                .spec
                .claim_ref
                .map(|claim| format!("{}/{}", claim.namespace, claim.name))
                .unwrap_or_default(),
            storage_class: volume.spec.storage_class_name,
        };
        let rows = self
            .first("persistentvolumes", "/api/v1/persistentvolumes", row)
            .await?;
        Ok(rows.unwrap_or_default())
    }

    async fn usage_rows(&self) -> Result<Option<Rows<UsageRow>>> {
        let row = |node: NodeMetrics| UsageRow {
            name: node.metadata.name,
            cpu: node.usage.get("cpu").cloned().unwrap_or_default(),
            memory: node.usage.get("memory").cloned().unwrap_or_default(),
        };
        self.first("nodes.metrics.k8s.io", "/apis/metrics.k8s.io/v1beta1/nodes", row)
            .await
    }
}
