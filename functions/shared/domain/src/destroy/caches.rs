//! Where the caches of a cluster stand, read off its pods and Alluxio's report.

use std::collections::BTreeSet;

use super::fate::Settled;
use crate::cache::{Worker, WorkerState};

/// A worker's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerPod {
    /// `metadata.name`.
    pub name: String,
    /// `status.hostIP`: the host under which its worker registers.
    pub host: String,
    /// `status.phase` is `Running`. A pod that was never that has held nothing.
    pub running: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// The caches that go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    /// In service: what they hold can be saved.
    pub live: Vec<Worker>,
    /// Out of service, with a pod that stands: they still serve, and may have been written to.
    pub out_of_service: Vec<Worker>,
    /// What may come back with what it holds, and why that is not known.
    pub awaited: Vec<String>,
}

impl Caches {
    /// Whether a block that is on no worker in service is on none at all.
    #[must_use]
    pub fn settled(&self) -> Settled {
        if self.out_of_service.is_empty() && self.awaited.is_empty() {
            Settled::Yes
        } else {
            Settled::No
        }
    }

    /// Whether there is none any more.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.live.is_empty() && self.out_of_service.is_empty() && self.awaited.is_empty()
    }
}

/// Which caches there are. Ours are those with a pod of ours; where the masters go as well, every worker in service is
/// (`all`): what only it holds could not be found any more.
#[must_use]
pub fn caches(pods: &[WorkerPod], workers: &[Worker], all: bool) -> Caches {
    let hosts: BTreeSet<_> = pods.iter().map(|pod| pod.host.as_str()).collect();
    let standing = |host: &str| pods.iter().find(|pod| !pod.deleting && pod.host == host);
    let mut caches = Caches::default();
    for worker in workers {
        let ours = hosts.contains(worker.host.as_str());
        match (worker.state, standing(&worker.host)) {
            (WorkerState::Live, _) if ours || all => caches.live.push(worker.clone()),
            (WorkerState::Live, _) | (_, None) => {}
            (WorkerState::Decommissioned | WorkerState::Disabled, Some(_)) => {
                caches.out_of_service.push(worker.clone());
            }
            (WorkerState::Lost, Some(pod)) => caches.awaited.push(format!(
                "Alluxio has lost worker {}; pod {} stands and may bring it back",
                worker.host, pod.name
            )),
        }
    }
    let unknown = pods
        .iter()
        .filter(|pod| pod.running && !pod.deleting && !workers.iter().any(|worker| worker.host == pod.host));
    caches.awaited.extend(unknown.map(|pod| {
        format!(
            "Alluxio knows no worker {}; pod {} stands and may bring one",
            pod.host, pod.name
        )
    }));
    caches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(host: &str, state: WorkerState) -> Worker {
        Worker {
            host: host.to_owned(),
            address: host.to_owned(),
            rpc_port: 29_999,
            web_port: 30_000,
            state,
            capacity_bytes: 1,
            used_bytes: 1,
            last_contact_seconds: 0,
        }
    }

    fn pod(host: &str) -> WorkerPod {
        WorkerPod {
            name: format!("pod-{host}"),
            host: host.to_owned(),
            running: true,
            deleting: false,
        }
    }

    #[test]
    fn workers_are_ours_by_their_pods() {
        let workers = [worker("a", WorkerState::Live), worker("b", WorkerState::Live)];
        let found = caches(&[pod("a")], &workers, false);
        assert_eq!(found.live, [worker("a", WorkerState::Live)]);
        assert!(found.out_of_service.is_empty() && found.awaited.is_empty());
        assert_eq!(found.settled(), Settled::Yes);
    }

    #[test]
    fn where_the_masters_go_every_worker_in_service_does() {
        let workers = [worker("b", WorkerState::Live)];
        assert_eq!(caches(&[], &workers, true).live.len(), 1);
    }

    #[test]
    fn one_out_of_service_is_looked_at_as_long_as_its_pod_stands() {
        let workers = [worker("a", WorkerState::Decommissioned)];
        let found = caches(&[pod("a")], &workers, false);
        assert_eq!((found.out_of_service.len(), found.settled()), (1, Settled::No));
        let ending = WorkerPod {
            deleting: true,
            ..pod("a")
        };
        assert!(caches(&[ending], &workers, false).gone());
        assert!(caches(&[], &workers, true).gone());
    }

    #[test]
    fn a_worker_in_service_whose_pod_ends_is_still_one() {
        let ending = WorkerPod {
            deleting: true,
            ..pod("a")
        };
        assert_eq!(
            caches(&[ending], &[worker("a", WorkerState::Live)], false)
                .live
                .len(),
            1
        );
    }

    #[test]
    fn what_may_come_back_is_waited_for_and_named() {
        let lost = caches(&[pod("a")], &[worker("a", WorkerState::Lost)], false);
        assert_eq!(
            lost.awaited,
            ["Alluxio has lost worker a; pod pod-a stands and may bring it back"]
        );
        let unknown = caches(&[pod("a")], &[], false);
        assert_eq!(
            unknown.awaited,
            ["Alluxio knows no worker a; pod pod-a stands and may bring one"]
        );
    }

    #[test]
    fn a_pod_that_never_ran_has_held_nothing() {
        let pending = WorkerPod {
            running: false,
            ..pod("a")
        };
        assert!(caches(&[pending], &[], false).gone());
    }

    #[test]
    fn a_lost_worker_without_a_pod_is_only_a_memory_of_the_master() {
        assert!(caches(&[], &[worker("a", WorkerState::Lost)], true).gone());
    }
}
