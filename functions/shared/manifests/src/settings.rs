//! What a rendering is told.

use crate::{Error, Layout};

/// What differs between one cluster's manifests and another's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The disk layouts of the node groups; each gets a `DaemonSet`.
    pub layouts: Vec<Layout>,
    /// The Alluxio masters as `host:port`, seen from the nodes; at least one.
    pub masters: Vec<String>,
    /// Where the workers run.
    pub namespace: String,
    /// Image of workers and job workers. 2.9.4 is the first that can be decommissioned.
    pub alluxio_image: String,
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
            namespace: "alluxio".into(),
            alluxio_image: "alluxio/alluxio:2.9.5".into(),
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
        let mut properties = masters(&self.masters)?;
        let fixed = [
            ("alluxio.security.authentication.type", "SIMPLE".to_owned()),
            // Reads past the worker's RPC are counted nowhere, so a drain could not wait for them.
            ("alluxio.user.short.circuit.enabled", "false".to_owned()),
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
