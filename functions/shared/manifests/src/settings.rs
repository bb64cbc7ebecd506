//! What a rendering is told.

use crate::{Error, Layout};

/// What differs between one cluster's manifests and another's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The disk layouts of the node groups; each gets a `DaemonSet`.
    pub layouts: Vec<Layout>,
    /// Alluxio masters elsewhere, as `host:port`, seen from the nodes; none where they are in the cluster.
    pub masters: Vec<String>,
    /// Alluxio masters in the cluster; none where they are elsewhere.
    pub master_set: Option<MasterSet>,
    /// Proxies in the cluster (REST and S3 API).
    pub proxy_replicas: u32,
    /// Memory of a proxy.
    pub proxy: JavaMemory,
    /// What the cluster gets beside Alluxio.
    pub add_ons: Vec<AddOn>,
    /// Where the workers run.
    pub namespace: String,
    /// Image of workers and job workers. 2.9.4 is the first that can be decommissioned.
    pub alluxio_image: String,
    /// The IAM role by which masters and workers reach the under store; none where their nodes' role does.
    pub alluxio_role_arn: Option<String>,
    /// Image of the local volume provisioner.
    pub provisioner_image: String,
    /// Memory of the worker process.
    pub worker: JavaMemory,
    /// Memory of the job worker process.
    pub job_worker: JavaMemory,
    /// How old a client's list of workers may be, in seconds: so long it may still write to one that was
    /// decommissioned. The parameter of the same name in `infra/template.yaml` must not be less.
    pub worker_list_refresh_seconds: u32,
    /// Further Alluxio properties, for every process; they win over ours.
    pub properties: Vec<(String, String)>,
}

impl Settings {
    /// Settings that differ from the defaults only in what has no default.
    #[must_use]
    pub fn new(layouts: Vec<Layout>, masters: Vec<String>) -> Self {
        Self {
            layouts,
            masters,
            master_set: None,
            proxy_replicas: 0,
            proxy: JavaMemory {
                heap_mib: 1024,
                direct_mib: 512,
            },
            add_ons: Vec::new(),
            namespace: "alluxio".into(),
            alluxio_image: "alluxio/alluxio:2.9.5".into(),
            alluxio_role_arn: None,
            provisioner_image: "registry.k8s.io/sig-storage/local-volume-provisioner:v2.9.0".into(),
            worker: JavaMemory {
                heap_mib: 4096,
                direct_mib: 4096,
            },
            job_worker: JavaMemory {
                heap_mib: 1024,
                direct_mib: 1024,
            },
            worker_list_refresh_seconds: 120,
            properties: Vec::new(),
        }
    }

    /// Every property of every process, in the order in which a later one wins.
    pub(crate) fn all_properties(&self) -> Result<Vec<(String, String)>, Error> {
        let mut properties = masters(&self.master_addresses()?)?;
        let fixed = [
            ("alluxio.security.authentication.type", "SIMPLE".to_owned()),
            // It stands for reading the files of blocks past the worker's RPC, which is counted nowhere, so a drain
            // could not wait for it. A domain socket needs no such switch: a client that sees the worker's socket sends
            // its requests through it instead of TCP (BlockInStream.create, NettyUtils.isDomainSocketAccessible), and
            // the worker counts them like any other.
            ("alluxio.user.short.circuit.enabled", "false".to_owned()),
            // Clients must know it as well: then the socket's file decides whether a worker is local, not host names,
            // which differ between a pod and its node.
            (
                "alluxio.worker.data.server.domain.socket.as.uuid",
                "true".to_owned(),
            ),
            (
                "alluxio.user.worker.list.refresh.interval",
                format!("{}s", self.worker_list_refresh_seconds),
            ),
        ];
        properties.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in &self.properties {
            survives_the_shell(name, value)?;
        }
        properties.extend(self.properties.iter().cloned());
        Ok(properties)
    }

    /// The masters as `host:port`, wherever they are.
    fn master_addresses(&self) -> Result<Vec<String>, Error> {
        match (&self.master_set, self.masters.as_slice()) {
            (Some(_), [_, ..]) => Err(Error(
                "masters are named, and masters in the cluster are asked for: it is one or the other".into(),
            )),
            (Some(set), []) => {
                set.check()?;
                Ok(set.addresses(&self.namespace, MasterSet::RPC_PORT))
            }
            (None, masters) => Ok(masters.to_vec()),
        }
    }
}

/// Alluxio masters that run in the cluster.
#[derive(Clone, Debug)]
pub struct MasterSet {
    /// 1, or 3 of which one may be away.
    pub replicas: u32,
    /// Where the files are kept: `s3://BUCKET/PREFIX` or the like, or a directory that every node has mounted.
    pub root_ufs: String,
    /// Memory of the master process.
    pub memory: JavaMemory,
    /// Memory of the job master process.
    pub job_master: JavaMemory,
    /// Size of the journal's volume in GiB.
    pub journal_gib: u32,
    /// Size of the metastore's volume in GiB.
    pub metastore_gib: u32,
}

impl MasterSet {
    const RPC_PORT: u16 = 19998;
    const JOURNAL_PORT: u16 = 19200;

    /// So many masters with that root mount; the rest by default.
    #[must_use]
    pub fn new(replicas: u32, root_ufs: String) -> Self {
        Self {
            replicas,
            root_ufs,
            memory: JavaMemory {
                heap_mib: 4096,
                direct_mib: 1024,
            },
            job_master: JavaMemory {
                heap_mib: 1024,
                direct_mib: 512,
            },
            journal_gib: 20,
            metastore_gib: 20,
        }
    }

    /// The directory of the root mount, where it is one.
    pub(crate) fn directory(&self) -> Option<&str> {
        self.root_ufs.starts_with('/').then_some(self.root_ufs.as_str())
    }

    /// Where the journals find each other; empty for one master.
    pub(crate) fn journal_addresses(&self, namespace: &str) -> String {
        if self.replicas > 1 {
            self.addresses(namespace, Self::JOURNAL_PORT).join(",")
        } else {
            String::new()
        }
    }

    /// Full names: a pod has its own in `/etc/hosts`, so a master knows itself before the cluster's DNS does.
    fn addresses(&self, namespace: &str, port: u16) -> Vec<String> {
        (0..self.replicas)
            .map(|ordinal| {
                format!("alluxio-master-{ordinal}.alluxio-master.{namespace}.svc.cluster.local:{port}")
            })
            .collect()
    }

    fn check(&self) -> Result<(), Error> {
        if !matches!(self.replicas, 1 | 3) {
            return Err(Error(format!(
                "{} masters are neither 1 nor 3, of which one may be away",
                self.replicas
            )));
        }
        let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let is_place = match self.root_ufs.split_once("://") {
            Some((scheme, place)) => {
                !scheme.is_empty()
                    && scheme.chars().all(|c| c.is_ascii_alphanumeric())
                    && !place.is_empty()
                    && place.chars().all(|c| harmless(c) || c == ':')
            }
            // The root of a node's file system is no store.
            None => {
                self.root_ufs.len() > 1
                    && self.root_ufs.starts_with('/')
                    && self.root_ufs.chars().all(harmless)
            }
        };
        if !is_place {
            return Err(Error(format!(
                "root under store {:?} is neither a URI such as s3://BUCKET/PREFIX nor a directory of the nodes",
                self.root_ufs
            )));
        }
        Ok(())
    }
}

/// Something that a cluster needs, and that many have already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddOn {
    /// `kubectl top`.
    MetricsServer {
        /// Its image.
        image: String,
    },
    /// Cluster Autoscaler.
    ClusterAutoscaler {
        /// Its image, of the cluster's minor.
        image: String,
        /// The EKS cluster, by whose name the groups are tagged.
        cluster_name: String,
        /// Where it is.
        region: String,
    },
}

impl AddOn {
    /// What they are called on the command line.
    pub const METRICS_SERVER: &str = "metrics-server";
    /// As [`Self::METRICS_SERVER`].
    pub const CLUSTER_AUTOSCALER: &str = "cluster-autoscaler";

    /// The image of Cluster Autoscaler for a cluster of this minor, such as `1.36`.
    pub fn cluster_autoscaler_image(kubernetes_version: &str) -> Result<String, Error> {
        let version = match kubernetes_version {
            "1.36" => "1.36.1",
            "1.35" => "1.35.2",
            "1.34" => "1.34.5",
            _ => {
                return Err(Error(format!(
                    "Kubernetes version {kubernetes_version:?} is none of 1.34, 1.35 and 1.36, for which a Cluster \
                     Autoscaler is known: name its image"
                )));
            }
        };
        Ok(format!(
            "registry.k8s.io/autoscaling/cluster-autoscaler:v{version}"
        ))
    }

    /// The image of metrics-server for Kubernetes 1.34 and later.
    #[must_use]
    pub fn metrics_server_image() -> String {
        "registry.k8s.io/metrics-server/metrics-server:v0.9.0".into()
    }

    pub(crate) fn image(&self) -> &str {
        match self {
            Self::MetricsServer { image } | Self::ClusterAutoscaler { image, .. } => image,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Self::ClusterAutoscaler {
            cluster_name, region, ..
        } = self
        {
            for (what, name) in [("cluster name", cluster_name), ("region", region)] {
                let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if name.is_empty() || name.len() > 100 || !name.chars().all(in_name) {
                    return Err(Error(format!(
                        "{what} {name:?} is not letters, digits and hyphens"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Memory of a JVM in MiB.
#[derive(Clone, Copy, Debug)]
pub struct JavaMemory {
    /// `-Xmx`.
    pub heap_mib: u32,
    /// `-XX:MaxDirectMemorySize`: buffers of streams.
    pub direct_mib: u32,
}

impl JavaMemory {
    /// Metaspace, code cache, thread stacks, the collector's own: a container whose limit is heap and direct memory
    /// alone is killed as soon as it uses both.
    const BESIDE_MIB: u32 = 1024;

    /// The container's limit in MiB.
    #[must_use]
    pub fn limit_mib(self) -> u64 {
        u64::from(self.heap_mib) + u64::from(self.direct_mib) + u64::from(Self::BESIDE_MIB)
    }
}

/// One master is found by its name, several by the list: Alluxio takes a list of one for no configuration at all.
fn masters(masters: &[String]) -> Result<Vec<(String, String)>, Error> {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for master in masters {
        address(master)?;
    }
    match masters {
        [] => Err(Error("no Alluxio master is named".into())),
        [one] => {
            let (host, port) = address(one)?;
            Ok(vec![
                property("alluxio.master.hostname", host),
                property("alluxio.master.rpc.port", port),
                property("alluxio.job.master.hostname", host),
            ])
        }
        // Job masters are found on the same hosts, on their own port.
        several => Ok(vec![property("alluxio.master.rpc.addresses", &several.join(","))]),
    }
}

fn address(master: &str) -> Result<(&str, &str), Error> {
    master
        .split_once(':')
        .filter(|(host, port)| {
            let in_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            !host.is_empty() && host.chars().all(in_name) && port.parse().is_ok_and(|port: u16| port > 0)
        })
        .ok_or_else(|| {
            Error(format!(
                "Alluxio master {master:?} is not a host and a port such as alluxio-master-0:19998"
            ))
        })
}

/// The image's entry point writes the options into a file that a shell reads, and splits them at spaces.
fn survives_the_shell(name: &str, value: &str) -> Result<(), Error> {
    let harmless = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '$' | '`');
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if is_name && value.chars().all(harmless) {
        Ok(())
    } else {
        Err(Error(format!(
            "Alluxio property {:?} is not a name and a value without spaces, quotes, backslashes, $ and backticks",
            format!("{name}={value}")
        )))
    }
}
