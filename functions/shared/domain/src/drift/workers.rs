//! Workers that Alluxio still knows although their node is gone.

use std::collections::HashSet;

use super::finding::{About, Finding, Repair};
use super::kind::Kind;
use super::snapshot::{SeenNode, Workers};
use crate::cache::WorkerState;

pub(super) fn find(workers: &Workers, nodes: &[SeenNode]) -> Vec<Finding> {
    let hosts: HashSet<_> = nodes
        .iter()
        .filter_map(|node| node.node.internal_ip.as_deref())
        .collect();
    let gone = workers
        .all
        .iter()
        .filter(|worker| !hosts.contains(worker.host.as_str()));
    gone.filter_map(|worker| {
        // A decommissioned one was drained, and expires: that is as it should be.
        let repair = match worker.state {
            WorkerState::Disabled => Repair::ForgetWorker(worker.clone()),
            WorkerState::Lost => Repair::Nothing(
                "no call forgets a lost worker: it expires after alluxio.master.lost.worker.deletion.timeout"
                    .into(),
            ),
            WorkerState::Live | WorkerState::Decommissioned => return None,
        };
        Some(Finding {
            kind: Kind::WorkerForgotten,
            subject: worker.host.clone(),
            seen: format!(
                "worker {} is {:?}, last heard {} s ago, and no node has that address",
                worker.host, worker.state, worker.last_contact_seconds
            ),
            since: None,
            about: About::Remains,
            repair,
        })
    })
    .collect()
}
