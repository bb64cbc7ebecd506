//! Which instances a group ends when it has too many: the answer of its custom termination policy
//! (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/lambda-custom-termination-policy.html>).
//!
//! Only a preference. Whatever is chosen is drained like every other node, so nothing depends on it but time, load, and
//! how much is at stake should the drain not come to its end.

#![allow(async_fn_in_trait)]

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use crate::cache::{Worker, WorkerState};
use crate::error::Result;
use crate::names;
use crate::node::Node;
use crate::outcome::ChooseOutcome;
use crate::subject::InstanceId;

/// So many instances are named in a reason; the answer has them all.
const MOST_NAMED: usize = 10;

/// What Auto Scaling asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// The group.
    pub auto_scaling_group_name: String,
    /// How much has to go, for each zone and market.
    pub capacity_to_terminate: Vec<Capacity>,
    /// The group's own proposal: those that may go, in its order.
    pub instances: Vec<Candidate>,
    /// `SCALE_IN`, `INSTANCE_REFRESH`, `MAX_INSTANCE_LIFETIME` or `REBALANCE`.
    pub cause: String,
}

/// How much has to go in a zone, of a market.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Capacity {
    /// The zone.
    pub availability_zone: String,
    /// How much: instances, or their weights where the group has weights, of which the payload tells nothing. The group
    /// itself ends no more than it has to.
    pub capacity: u32,
    /// `on-demand` or `spot`; of either where it is left out.
    #[serde(default)]
    pub instance_market_option: Option<String>,
}

impl Capacity {
    fn fits(&self, candidate: &Candidate) -> bool {
        let market = &self.instance_market_option;
        self.availability_zone == candidate.availability_zone
            && (market.is_none() || *market == candidate.instance_market_option)
    }

    fn instances(&self) -> usize {
        usize::try_from(self.capacity).unwrap_or(usize::MAX)
    }
}

/// An instance that may go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Candidate {
    /// Its zone.
    pub availability_zone: String,
    /// The instance.
    pub instance_id: InstanceId,
    /// Its type.
    pub instance_type: String,
    /// `on-demand` or `spot`.
    #[serde(default)]
    pub instance_market_option: Option<String>,
}

impl Request {
    /// The types and the zones of the candidates: by these their nodes are selected. A node that no join has labelled
    /// yet cannot be selected by its instance, and may well hold a cache: the group may be older than its automation.
    #[must_use]
    pub fn types_and_zones(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let candidates = self.instances.iter();
        candidates
            .map(|candidate| {
                (
                    candidate.instance_type.as_str(),
                    candidate.availability_zone.as_str(),
                )
            })
            .unzip()
    }
}

/// The cluster, as far as a choice needs it.
pub trait CandidateNodes {
    /// The nodes of the candidates' types and zones, in one listing.
    async fn candidate_nodes(&self, request: &Request) -> Result<Vec<Node>>;
}

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether the cache had a say.
    pub outcome: ChooseOutcome,
    /// One sentence for a person on call.
    pub reason: String,
    /// The instances that go.
    pub instances: Vec<InstanceId>,
}

/// Whether a node is a place of Alluxio masters. By its label, which stands from its registration on: a master's pod
/// comes and goes, the journal on the node stays. Or by what keeps Cluster Autoscaler from it: a person who has set that
/// by hand meant everybody.
#[must_use]
pub fn hosts_master(node: &Node) -> bool {
    node.has_label(names::MASTER_LABEL, names::TRUE) || node.kept_from_scale_down()
}

/// A candidate with all that its choice depends on.
struct Rated<'a> {
    candidate: &'a Candidate,
    place: usize,
    master: bool,
    draining: bool,
    at_stake: u64,
}

impl Rated<'_> {
    /// The smallest goes first. Of equals one that leaves already, then the group's own order.
    const fn rank(&self) -> (bool, u64, bool, usize) {
        (self.master, self.at_stake, !self.draining, self.place)
    }
}

/// Chooses who goes. `nodes` and `workers` are none where they cannot be seen (in time).
///
/// For each zone and market exactly as many as were asked for, since of more than that the group would pick by its other
/// policies: first those whose worker holds nothing that could be lost, then those with the fewest bytes that may be
/// nowhere else. An Alluxio master only where nothing else in that zone and market can go. Fewer where the proposal has
/// no more: the group asks again.
#[must_use]
pub fn choose(request: &Request, nodes: Option<&[Node]>, workers: Option<&[Worker]>) -> Choice {
    let rated = rate(request, nodes.unwrap_or_default(), workers.unwrap_or_default());
    if nodes.is_none() || workers.is_none() {
        return proposal(request, &rated);
    }
    let mut chosen: Vec<&Rated> = Vec::new();
    let mut taken = vec![false; rated.len()];
    for wanted in &request.capacity_to_terminate {
        let mut fitting: Vec<_> = rated
            .iter()
            .filter(|rated| !taken[rated.place] && wanted.fits(rated.candidate))
            .collect();
        fitting.sort_by_key(|rated| rated.rank());
        fitting.truncate(wanted.instances());
        for rated in &fitting {
            taken[rated.place] = true;
        }
        chosen.extend(fitting);
    }
    let named: Vec<_> = chosen
        .iter()
        .take(MOST_NAMED)
        .map(|rated| {
            let id = &rated.candidate.instance_id;
            let master = if rated.master {
                ", hosts an Alluxio master"
            } else {
                ""
            };
            format!("{id} (at most {} bytes nowhere else{master})", rated.at_stake)
        })
        .collect();
    let more = chosen.len() - named.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Choice {
        outcome: ChooseOutcome::Chosen,
        reason: format!(
            "of {} candidates for {}: {}{more}",
            request.instances.len(),
            request.cause,
            named.join(", ")
        ),
        instances: chosen
            .into_iter()
            .map(|rated| rated.candidate.instance_id.clone())
            .collect(),
    }
}

/// The group's own proposal, in which it chooses itself; but without the masters, as far as they are seen and others can
/// go.
fn proposal(request: &Request, rated: &[Rated<'_>]) -> Choice {
    let mut kept: BTreeSet<_> = rated
        .iter()
        .filter(|rated| rated.master)
        .map(|r| r.place)
        .collect();
    for wanted in &request.capacity_to_terminate {
        let fitting = || rated.iter().filter(|rated| wanted.fits(rated.candidate));
        let free = fitting().filter(|rated| !kept.contains(&rated.place)).count();
        let must_go: Vec<_> = fitting()
            .map(|rated| rated.place)
            .filter(|place| kept.contains(place))
            .take(wanted.instances().saturating_sub(free))
            .collect();
        for place in must_go {
            kept.remove(&place);
        }
    }
    let instances: Vec<_> = rated
        .iter()
        .filter(|rated| !kept.contains(&rated.place))
        .map(|rated| rated.candidate.instance_id.clone())
        .collect();
    Choice {
        outcome: ChooseOutcome::Unseen,
        reason: format!(
            "the cache cannot be seen: the group's own proposal of {} instances, {} of them kept as they host an Alluxio \
             master",
            request.instances.len(),
            kept.len()
        ),
        instances,
    }
}

fn rate<'a>(request: &'a Request, nodes: &[Node], workers: &[Worker]) -> Vec<Rated<'a>> {
    let by_instance: HashMap<_, _> = nodes
        .iter()
        .filter_map(|node| Some((node.provider_id.rsplit('/').next()?, node)))
        .collect();
    let mut by_host: HashMap<&str, &Worker> = HashMap::new();
    for worker in workers {
        let known = by_host.entry(&worker.host).or_insert(worker);
        // Of two with one host the one in service counts.
        if worker.state == WorkerState::Live {
            *known = worker;
        }
    }
    let candidates = request.instances.iter().enumerate();
    candidates
        .map(|(place, candidate)| {
            let id = &candidate.instance_id;
            let node = by_instance
                .get(id.as_str())
                .filter(|node| id.matches_provider_id(&node.provider_id));
            let worker = node
                .and_then(|node| node.internal_ip.as_deref())
                .and_then(|host| by_host.get(host));
            Rated {
                candidate,
                place,
                master: node.is_some_and(|node| hosts_master(node)),
                draining: node.is_some_and(|node| node.draining_since().is_some()),
                at_stake: match (node, worker) {
                    (Some(node), Some(worker)) => at_stake(node, worker),
                    _ => 0,
                },
            }
        })
        .collect()
}

/// How many bytes may be on this worker and nowhere else, at most. The master's report counts what a worker holds, and
/// not how much of that is persisted. A drain of ours takes a worker out of service when nothing is left to lose; whoever
/// else decommissions one has moved no data.
fn at_stake(node: &Node, worker: &Worker) -> u64 {
    match worker.state {
        WorkerState::Decommissioned | WorkerState::Disabled if node.decommissioned_at().is_some() => 0,
        _ => worker.used_bytes,
    }
}

#[cfg(test)]
mod tests;
