//! What a reader is shown of a cluster that is set up, as data and as tables.

use std::fmt::Write as _;

use serde::Serialize;

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
    /// The Alluxio masters that the functions know, as `host:port`.
    pub masters: Vec<String>,
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
        let masters = self.masters.iter().map(|master| vec![master.clone()]).collect();
        table(&mut text, "ALLUXIO MASTERS", &["ADDRESS"], masters, 0);
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
mod tests {
    use super::*;

    #[test]
    fn a_listing_keeps_its_first_rows_and_counts_the_others() {
        let rows = Rows::of((0..MOST_ROWS + 3).collect());
        assert_eq!((rows.rows.len(), rows.more), (MOST_ROWS, 3));
        assert_eq!(
            Rows::of(vec![1]),
            Rows {
                rows: vec![1],
                more: 0
            }
        );
    }

    #[test]
    fn tables_have_columns_as_wide_as_their_widest_cell() {
        let overview = Overview {
            cluster: "prod".into(),
            version: "1.35".into(),
            workers: Rows::of(vec![WorkerRow {
                host: "10.0.0.1".into(),
                state: "LIVE".into(),
                capacity_bytes: 246 << 30,
                used_bytes: 1,
            }]),
            ..Overview::default()
        };
        let tables = overview.tables();
        assert!(
            tables.starts_with("CLUSTERS\nNAME   VERSION\nprod   1.35\n\n"),
            "{tables}"
        );
        assert!(
            tables.contains(
                "ALLUXIO WORKERS\nHOST       STATE   CAPACITY   USED\n10.0.0.1   LIVE    246.0Gi    0.1Gi\n"
            ),
            "{tables}"
        );
        assert!(tables.contains("no metrics-server"), "{tables}");
    }

    #[test]
    fn what_was_left_out_of_a_table_is_counted_below_it() {
        let overview = Overview {
            nodes: Rows {
                rows: Vec::new(),
                more: 7,
            },
            ..Overview::default()
        };
        assert!(
            overview.tables().contains("WORKER\nand 7 more\n"),
            "{}",
            overview.tables()
        );
    }

    #[test]
    fn the_largest_overview_fits_into_the_output_of_a_state() {
        let long = || "x".repeat(63);
        let rows = |_| NodeRow {
            name: long(),
            status: "Ready,SchedulingDisabled".into(),
            version: "v1.35.4-eks-0123456".into(),
            internal_ip: "255.255.255.255".into(),
            instance: "i-0123456789abcdef0".into(),
            instance_type: "x2iedn.metal-32xlarge".into(),
            zone: "ap-southeast-1a".into(),
            worker: "4x1900g".into(),
        };
        let volume = |_| VolumeRow {
            name: "local-pv-01234567".into(),
            capacity: "1740Gi".into(),
            reclaim_policy: "Delete".into(),
            phase: "Available".into(),
            claim: format!("alluxio/{}", long()),
            storage_class: "fast-disks".into(),
        };
        let overview = Overview {
            nodes: Rows::of((0..MOST_ROWS).map(rows).collect()),
            volumes: Rows::of((0..MOST_ROWS).map(volume).collect()),
            ..Overview::default()
        };
        let data = serde_json::to_string(&overview).expect("JSON").len();
        let all = data + overview.tables().len();
        assert!(all < 128 * 1024, "{all} bytes");
    }
}
