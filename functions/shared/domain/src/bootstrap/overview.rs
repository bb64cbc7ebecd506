//! What a reader is shown of a cluster that is set up, as data and as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::ports::MasterRole;
use crate::ports::MasterPlace;

/// Rows of one listing at the most: all listings together stay far below the 256 KiB of a state's output.
pub const MOST_ROWS: usize = 100;

/// The first rows of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rows<T> {
    /// [`MOST_ROWS`] of them at the most.
    pub rows: Vec<T>,
    /// How many more there are.
    pub more: u64,
}

impl<T> Rows<T> {
    /// The first of all rows.
    #[must_use]
    pub fn of(mut rows: Vec<T>) -> Self {
        let more = rows.len().saturating_sub(MOST_ROWS);
        rows.truncate(MOST_ROWS);
        Self {
            rows,
            more: u64::try_from(more).unwrap_or(u64::MAX),
        }
    }
}

/// A managed node group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeGroupRow {
    /// Its name.
    pub name: String,
    /// `ACTIVE`, ...
    pub status: String,
    /// Smallest number of nodes.
    pub min_size: i32,
    /// Largest number of nodes.
    pub max_size: i32,
    /// Wanted number of nodes.
    pub desired_size: i32,
    /// The types that it launches.
    pub instance_types: Vec<String>,
    /// Its Auto Scaling groups.
    pub auto_scaling_groups: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// `metadata.name`.
    pub name: String,
    /// `Ready`, `NotReady`, and `SchedulingDisabled` as `kubectl get nodes` puts it.
    pub status: String,
    /// The kubelet's version.
    pub version: String,
    /// `InternalIP`.
    pub internal_ip: String,
    /// The instance behind it.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// The disk layout of the worker that it carries; empty where it carries none.
    pub worker: String,
}

/// A `DaemonSet`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetRow {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Pods that it is to run.
    pub desired: u64,
    /// Those that are ready.
    pub ready: u64,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRow {
    /// `metadata.name`.
    pub name: String,
    /// `spec.capacity.storage`, as the cluster writes it.
    pub capacity: String,
    /// `spec.persistentVolumeReclaimPolicy`.
    pub reclaim_policy: String,
    /// `status.phase`.
    pub phase: String,
    /// Namespace and name of its claim; empty where it has none.
    pub claim: String,
    /// `spec.storageClassName`.
    pub storage_class: String,
}

/// An Alluxio master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterRow {
    /// Its pod; empty where it runs elsewhere.
    pub pod: String,
    /// The node of its pod.
    pub node: String,
    /// `host:port` of its RPC, as the functions find it.
    pub address: String,
    /// `PRIMARY`, `STANDBY`, or `SILENT` where it does not answer.
    pub role: String,
    /// Whether its pod is ready; elsewhere, whether it answers.
    pub ready: bool,
}

impl MasterRow {
    /// The masters that run in the cluster, with what each of them does.
    #[must_use]
    pub fn of_places(places: Vec<MasterPlace>, roles: &BTreeMap<String, MasterRole>) -> Vec<Self> {
        let row = |place: MasterPlace| {
            // One that has come since the roles were asked for has not answered.
            let role = roles.get(&place.address).copied().unwrap_or(MasterRole::Silent);
            Self {
                role: role.word().into(),
                pod: place.pod,
                node: place.node,
                address: place.address,
                ready: place.ready,
            }
        };
        places.into_iter().map(row).collect()
    }

    /// Masters elsewhere, of which no more is known than what they answer.
    #[must_use]
    pub fn of_roles(roles: &BTreeMap<String, MasterRole>) -> Vec<Self> {
        let place = |(address, role): (&String, &MasterRole)| MasterPlace {
            address: address.clone(),
            ready: *role != MasterRole::Silent,
            ..MasterPlace::default()
        };
        Self::of_places(roles.iter().map(place).collect(), roles)
    }
}

/// An Alluxio worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRow {
    /// The host under which it is registered.
    pub host: String,
    /// Its state at the master.
    pub state: String,
    /// Bytes that it can hold.
    pub capacity_bytes: u64,
    /// Bytes that it holds.
    pub used_bytes: u64,
}

/// What a node uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageRow {
    /// The node.
    pub name: String,
    /// Processor, as the metrics API writes it.
    pub cpu: String,
    /// Memory, as the metrics API writes it.
    pub memory: String,
}

/// Everything that the steps have brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The cluster's name.
    pub cluster: String,
    /// Its Kubernetes minor.
    pub version: String,
    /// Managed node groups. A cluster's groups need not be any.
    pub node_groups: Rows<NodeGroupRow>,
    /// Nodes.
    pub nodes: Rows<NodeRow>,
    /// `DaemonSet`s.
    pub daemon_sets: Rows<DaemonSetRow>,
    /// Volumes.
    pub volumes: Rows<VolumeRow>,
    /// The Alluxio masters that the functions know or find.
    pub masters: Rows<MasterRow>,
    /// The workers that the primary master knows.
    pub workers: Rows<WorkerRow>,
    /// What nodes use; none where the cluster does not measure it.
    pub top: Option<Rows<UsageRow>>,
}

/// A row of a table.
trait Row {
    const TITLE: &'static str;
    const HEADS: &'static [&'static str];
    fn cells(&self) -> Vec<String>;
}

impl Row for NodeGroupRow {
    const TITLE: &'static str = "NODE GROUPS";
    const HEADS: &'static [&'static str] = &[
        "NAME",
        "STATUS",
        "MIN",
        "MAX",
        "DESIRED",
        "INSTANCE TYPES",
        "ASG NAME",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.status.clone(),
            self.min_size.to_string(),
            self.max_size.to_string(),
            self.desired_size.to_string(),
            self.instance_types.join(","),
            self.auto_scaling_groups.join(","),
        ]
    }
}

impl Row for NodeRow {
    const TITLE: &'static str = "NODES";
    const HEADS: &'static [&'static str] = &[
        "NAME",
        "STATUS",
        "VERSION",
        "INTERNAL-IP",
        "INSTANCE",
        "TYPE",
        "ZONE",
        "WORKER",
    ];

    fn cells(&self) -> Vec<String> {
        let cells = [
            &self.name,
            &self.status,
            &self.version,
            &self.internal_ip,
            &self.instance,
            &self.instance_type,
            &self.zone,
            &self.worker,
        ];
        cells.map(Clone::clone).to_vec()
    }
}

impl Row for DaemonSetRow {
    const TITLE: &'static str = "DAEMON SETS";
    const HEADS: &'static [&'static str] = &["NAMESPACE", "NAME", "DESIRED", "READY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.namespace.clone(),
            self.name.clone(),
            self.desired.to_string(),
            self.ready.to_string(),
        ]
    }
}

impl Row for VolumeRow {
    const TITLE: &'static str = "PERSISTENT VOLUMES";
    const HEADS: &'static [&'static str] = &[
        "NAME",
        "CAPACITY",
        "RECLAIM POLICY",
        "STATUS",
        "CLAIM",
        "STORAGECLASS",
    ];

    fn cells(&self) -> Vec<String> {
        let cells = [
            &self.name,
            &self.capacity,
            &self.reclaim_policy,
            &self.phase,
            &self.claim,
            &self.storage_class,
        ];
        cells.map(Clone::clone).to_vec()
    }
}

impl Row for MasterRow {
    const TITLE: &'static str = "ALLUXIO MASTERS";
    const HEADS: &'static [&'static str] = &["POD", "NODE", "ADDRESS", "ROLE", "READY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.pod.clone(),
            self.node.clone(),
            self.address.clone(),
            self.role.clone(),
            self.ready.to_string(),
        ]
    }
}

impl Row for WorkerRow {
    const TITLE: &'static str = "ALLUXIO WORKERS";
    const HEADS: &'static [&'static str] = &["HOST", "STATE", "CAPACITY", "USED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.host.clone(),
            self.state.clone(),
            gib(self.capacity_bytes),
            gib(self.used_bytes),
        ]
    }
}

impl Row for UsageRow {
    const TITLE: &'static str = "TOP";
    const HEADS: &'static [&'static str] = &["NAME", "CPU", "MEMORY"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.cpu.clone(), self.memory.clone()]
    }
}

impl Overview {
    /// The same as text, a table for each listing.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        let cluster = vec![vec![self.cluster.clone(), self.version.clone()]];
        table(&mut text, "CLUSTERS", &["NAME", "VERSION"], cluster, 0);
        listing(&mut text, &self.node_groups);
        listing(&mut text, &self.nodes);
        listing(&mut text, &self.daemon_sets);
        listing(&mut text, &self.volumes);
        listing(&mut text, &self.masters);
        listing(&mut text, &self.workers);
        match &self.top {
            Some(top) => listing(&mut text, top),
            None => text.push_str("TOP\nnothing measures the nodes: no metrics-server\n"),
        }
        text
    }
}

/// In GiB with one digit behind the point.
fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10).div_ceil(1 << 30);
    format!("{}.{}Gi", tenths / 10, tenths % 10)
}

fn listing<T: Row>(text: &mut String, rows: &Rows<T>) {
    let cells = rows.rows.iter().map(T::cells).collect();
    table(text, T::TITLE, T::HEADS, cells, rows.more);
}

/// Columns as wide as their widest cell, as kubectl prints them.
fn table(text: &mut String, name: &str, heads: &[&str], rows: Vec<Vec<String>>, more: u64) {
    let heads: Vec<_> = heads.iter().map(|&head| head.to_owned()).collect();
    let lines: Vec<_> = std::iter::once(heads).chain(rows).collect();
    let columns = lines[0].len();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let _ = writeln!(text, "{name}");
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(row, "{cell:width$}   ");
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests;
