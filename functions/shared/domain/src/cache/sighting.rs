//! What is seen of the worker of a node, and which step of a drain follows from it.

use std::net::IpAddr;

use super::{Worker, WorkerState};
use crate::names;
use crate::node::{Node, Pod};
use crate::subject::Subject;

/// What the next step of a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is nothing to save, and on what evidence.
    Absent(String),
    /// The worker cannot be reached but may come back with what it holds, or it cannot be told which worker is the node's.
    AwaitWorker(String),
    /// It is in service: look through its files, save what exists nowhere else.
    Save(Worker),
    /// It is out of service: look through its files once more, wait until its clients are done.
    LookAgain(Worker),
}

/// A worker that the master knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWorker {
    /// The address that the master was asked for. A worker that registers by its host name is found by its address too.
    pub address: String,
    /// The worker.
    pub worker: Worker,
}

/// What Kubernetes, EC2, the Alluxio master and the worker itself tell of a node's worker.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// The instance.
    pub subject: &'a Subject,
    /// Its Node object; none where there is none.
    pub node: Option<&'a Node>,
    /// The workers that the master knows at [`Self::addresses`].
    pub workers: Vec<SeenWorker>,
    /// The worker's pods on the node; not looked for where [`Self::needs_pods`] says no.
    pub pods: Vec<Pod>,
    /// Whether a worker that is not in service answers on its own port, where [`Self::needs_answer`] asks for that.
    pub answers: bool,
}

impl<'a> Sighting<'a> {
    /// Nothing seen yet but the Node object.
    #[must_use]
    pub const fn new(subject: &'a Subject, node: Option<&'a Node>) -> Self {
        Self {
            subject,
            node,
            workers: Vec::new(),
            pods: Vec::new(),
            answers: false,
        }
    }

    /// The addresses under which the worker may be registered: those that EC2 knows of the instance, and the node's own.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self.subject.addresses().map(str::to_owned).collect();
        if let Some(of_node) = self.node.and_then(|node| node.internal_ip.as_deref())
            && !addresses.iter().any(|address| same_address(address, of_node))
        {
            addresses.push(of_node.to_owned());
        }
        addresses
    }

    /// The name by which pods are bound to the node.
    #[must_use]
    pub fn node_name(&self) -> Option<&'a str> {
        match self.node {
            Some(node) => Some(&node.name),
            None => self.subject.identity.node_name.as_deref(),
        }
    }

    /// Notes a worker at an address; the same worker may be found at several.
    pub fn note(&mut self, address: &str, worker: Worker) {
        let known = self.workers.iter().any(|seen| {
            let seen = &seen.worker;
            (&seen.host, seen.rpc_port) == (&worker.host, worker.rpc_port)
        });
        if !known {
            self.workers.push(SeenWorker {
                address: address.to_owned(),
                worker,
            });
        }
    }

    /// Whether the pods tell anything that the workers do not: not where the node's worker is in service.
    #[must_use]
    pub fn needs_pods(&self) -> bool {
        !matches!(self.live().as_slice(), [one] if self.of_instance(&one.address))
    }

    /// The worker that is to be asked whether it answers: one that is not in service and has no pod that stands.
    #[must_use]
    pub fn needs_answer(&self) -> Option<&Worker> {
        if !self.live().is_empty() || !self.pods.is_empty() {
            return None;
        }
        self.workers.first().map(|seen| &seen.worker)
    }

    fn live(&self) -> Vec<&SeenWorker> {
        let live = |seen: &&SeenWorker| seen.worker.state == WorkerState::Live;
        self.workers.iter().filter(live).collect()
    }

    /// Whether EC2 knows the instance by that address. Where EC2 tells none, the node is believed.
    fn of_instance(&self, address: &str) -> bool {
        let mut known = self.subject.addresses().peekable();
        known.peek().is_none() || known.any(|ours| same_address(ours, address))
    }

    fn of_pod(&self, address: &str) -> bool {
        let hosts = self.pods.iter().filter_map(|pod| pod.host_ip.as_deref());
        hosts.into_iter().any(|host| same_address(host, address))
    }

    /// That nothing runs a worker here, as far as Kubernetes tells.
    fn no_pod(&self) -> String {
        match self.node {
            Some(node) => format!("node {} has no worker pod", node.name),
            None => self.subject.no_node(),
        }
    }
}

fn same_address(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<IpAddr>().ok();
    one == other || parsed(one).is_some_and(|address| Some(address) == parsed(other))
}

/// Reads the phase off the world.
///
/// The Alluxio master decides: a worker that it has in service is saved whether or not Kubernetes shows a node or a pod
/// of it. One that the master does not know, or has lost, is waited for while its pod stands, as its container is
/// started again with the same disks, and while it answers on its own port. Where the pod is gone its volumes went with
/// it; the master remembers such a worker for a while.
#[must_use]
pub fn next_phase(sighting: &Sighting<'_>) -> Phase {
    let subject = sighting.subject;
    let id = &subject.instance_id;
    if subject.terminated() {
        // Its address may be another instance's by now, and the worker there another node's.
        return Phase::Absent(format!(
            "EC2 says that instance {id} is terminated: no worker runs on it"
        ));
    }
    let addresses = sighting.addresses();
    if addresses.is_empty() {
        return Phase::AwaitWorker(format!(
            "neither EC2 nor a Node object tells an address of instance {id}, so Alluxio cannot be asked for its worker"
        ));
    }
    let at = addresses.join(" or ");
    match sighting.live().as_slice() {
        [one] if sighting.of_instance(&one.address) || sighting.of_pod(&one.address) => {
            return Phase::Save(one.worker.clone());
        }
        [one] => {
            return Phase::AwaitWorker(format!(
                "worker {} is in service at {}, which is no address of instance {id} by EC2 and not its pod's: it may be \
                 the worker of another instance",
                one.worker.host, one.address
            ));
        }
        [] => {}
        several => {
            let hosts: Vec<_> = several.iter().map(|seen| seen.worker.host.as_str()).collect();
            return Phase::AwaitWorker(several_live(&at, &hosts));
        }
    }
    let (ending, standing): (Vec<_>, Vec<_>) =
        sighting.pods.iter().partition(|pod| pod.deletion_time.is_some());
    let worker = sighting.workers.first().map(|seen| &seen.worker);
    match (worker, standing.first()) {
        (Some(worker), standing)
            if worker.state != WorkerState::Lost
                && (standing.is_some() || !ending.is_empty() || sighting.answers) =>
        {
            Phase::LookAgain(worker.clone())
        }
        (Some(worker), Some(pod)) => Phase::AwaitWorker(format!(
            "Alluxio has lost worker {}; pod {} stands and may bring it back",
            worker.host,
            pod.full_name()
        )),
        (Some(worker), None) if sighting.answers => Phase::AwaitWorker(format!(
            "Alluxio has lost worker {}, which still answers on its own port",
            worker.host
        )),
        (Some(worker), None) => Phase::Absent(format!(
            "{}, Alluxio has no worker in service at {at}, and what worker {} held cannot be read from it any more",
            sighting.no_pod(),
            worker.host
        )),
        (None, Some(pod)) if never_ran(sighting.node, pod) => Phase::Absent(format!(
            "no container of pod {} has ever run on node {}, which never opened, and Alluxio knows no worker at {at}",
            pod.full_name(),
            sighting.node_name().unwrap_or_default()
        )),
        (None, Some(pod)) => Phase::AwaitWorker(format!(
            "Alluxio knows no worker at {at}; pod {} stands and may bring it back",
            pod.full_name()
        )),
        (None, None) => Phase::Absent(format!(
            "{}, and Alluxio knows no worker at {at}",
            sighting.no_pod()
        )),
    }
}

/// That the node's worker cannot be told from another.
#[must_use]
pub fn several_live(at: &str, hosts: &[&str]) -> String {
    format!(
        "Alluxio has {} workers in service at {at} ({}): it cannot be told which of them is the node's",
        hosts.len(),
        hosts.join(", ")
    )
}

/// Whether a worker that Alluxio does not know has never been in service. That the node never opened is not enough: the
/// master forgets a worker some minutes after it was lost, and all of them when it starts.
fn never_ran(node: Option<&Node>, pod: &Pod) -> bool {
    node.is_some_and(|node| node.startup_taint) && !pod.has_run
}

/// Whether the node itself shows that its worker holds nothing unsaved: it never opened, or an earlier drain has saved
/// its worker and taken it away.
#[must_use]
pub fn proven_empty(node: Option<&Node>) -> bool {
    node.is_some_and(|node| {
        let levers = [names::WORKER_LABEL, names::MEMORY_WORKER_LABEL];
        let retired = !levers.iter().any(|lever| node.labels.contains_key(*lever));
        node.startup_taint || (retired && node.decommissioned_at().is_some())
    })
}

#[cfg(test)]
mod tests;
