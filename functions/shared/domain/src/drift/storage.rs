//! Volumes and claims that nothing uses any more. Names are used again: what goes is told apart by UIDs, by both names
//! of a node, by claim and volume of each other.

use std::collections::{HashMap, HashSet};

use super::finding::{About, Finding, Repair};
use super::kind::Kind;
use super::running::Busy;
use super::snapshot::{Group, SeenClaim, SeenNode, SeenPod, SeenVolume};
use super::view::Instance;
use crate::names;
use crate::node::{Volume, VolumePhase};
use crate::retire::{VolumeFate, volume_fate};

const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
const PROVISIONER: &str = "local-volume-provisioner-";
/// The workers' `DaemonSet` of a layout is named so with the layout behind it, a pod after its `DaemonSet`, and the
/// claim of an ephemeral volume after pod and volume.
const WORKER_CLAIM: &str = "alluxio-worker-";
const NOT_A_WORKERS: &str =
    "the claim that it was bound to was not a worker's: whoever made that decides what is on it";
/// Characters of a UID.
const UID_LENGTH: usize = 36;

/// Name and UID of the node that a volume was made on, as its provisioner wrote them.
fn made_on(volume: &Volume) -> Option<(&str, &str)> {
    let text = volume.provisioned_by.as_deref()?.strip_prefix(PROVISIONER)?;
    let at = text
        .len()
        .checked_sub(UID_LENGTH)
        .filter(|at| text.is_char_boundary(*at))?;
    let (name, uid) = text.split_at(at);
    Some((name.strip_suffix('-')?, uid))
}

/// The names under which a volume's node would be there, and that node's UID where it is known.
#[must_use]
pub fn node_of(volume: &Volume) -> (Vec<&str>, Option<&str>) {
    let made_on = made_on(volume);
    let mut names: Vec<_> = made_on.map(|(name, _)| name).into_iter().collect();
    names.extend(volume.hostname.as_deref().filter(|host| !names.contains(host)));
    (names, made_on.map(|(_, uid)| uid))
}

/// Whether nobody but a worker has had data on a volume. Of a claim that is gone only the name is left.
fn was_a_workers(volume: &Volume, namespace: &str) -> bool {
    volume
        .claim
        .as_ref()
        .is_none_or(|claim| claim.namespace == namespace && claim.name.starts_with(WORKER_CLAIM))
}

pub(super) fn orphaned(
    groups: &[Group],
    nodes: &[SeenNode],
    volumes: &[SeenVolume],
    claims: &[SeenClaim],
    namespace: &str,
) -> Vec<Finding> {
    let members = groups.iter().flat_map(|group| &group.members);
    let mut alive: HashSet<_> = members.map(|member| member.instance.as_str()).collect();
    alive.extend(nodes.iter().filter_map(SeenNode::instance));
    let mut by_name: HashMap<&str, &str> = HashMap::new();
    for node in nodes {
        by_name.insert(&node.node.name, &node.node.uid);
        if let Some(hostname) = node.node.labels.get(HOSTNAME_LABEL) {
            by_name.insert(hostname, &node.node.uid);
        }
    }
    let claims: HashSet<_> = claims.iter().map(|seen| seen.claim.uid.as_str()).collect();
    volumes
        .iter()
        .filter(|seen| seen.volume.storage_class == names::FAST_DISKS_CLASS)
        .filter(|seen| !alive.contains(seen.instance.as_str()))
        .filter(|seen| {
            let (names, uid) = node_of(&seen.volume);
            // Of a node by one of these names only another UID says that it is another node.
            !names.is_empty()
                && names.iter().all(|name| {
                    by_name
                        .get(name)
                        .is_none_or(|found| uid.is_some_and(|uid| uid != *found))
                })
        })
        .map(|seen| {
            let volume = &seen.volume;
            // Claims of other namespaces were not looked at.
            let held = volume.claim.as_ref().filter(|claim| {
                volume.phase == VolumePhase::Bound
                    && (claims.contains(claim.uid.as_str()) || claim.namespace != namespace)
            });
            let repair = match (held, volume.phase) {
                (Some(claim), _) => Repair::Nothing(format!(
                    "claim {}/{} holds it: it goes when that has gone",
                    claim.namespace, claim.name
                )),
                (None, _) if !was_a_workers(volume, namespace) => Repair::Nothing(NOT_A_WORKERS.into()),
                (None, VolumePhase::Released) if !seen.deletes => Repair::Nothing(
                    "its reclaim policy is Retain: delete it when nobody wants it any more".into(),
                ),
                (None, _) => Repair::DeleteOrphan(volume.clone()),
            };
            Finding {
                kind: Kind::VolumeOrphaned,
                subject: volume.name.clone(),
                seen: format!(
                    "volume {} ({:?}) is of instance {} on node {}, which are gone",
                    volume.name,
                    volume.phase,
                    seen.instance,
                    node_of(volume).0.join(" or ")
                ),
                since: None,
                about: About::Remains,
                repair,
            }
        })
        .collect()
}

pub(super) fn released(
    instances: &[Instance<'_>],
    busy: &Busy,
    volumes: &[SeenVolume],
    claims: &[SeenClaim],
    namespace: &str,
) -> Vec<Finding> {
    let claims: HashSet<_> = claims.iter().map(|seen| seen.claim.uid.as_str()).collect();
    let there: HashMap<_, _> = instances
        .iter()
        .filter(|instance| instance.in_state("InService") && busy.works(instance.id()) == Some(false))
        .filter_map(|instance| Some((instance.id(), (instance, &instance.node?.node))))
        .filter(|(_, (_, node))| node.draining_since().is_none())
        .collect();
    volumes
        .iter()
        .filter(|seen| matches!(seen.volume.phase, VolumePhase::Released | VolumePhase::Failed))
        .filter_map(|seen| {
            let volume = &seen.volume;
            let (instance, node) = there.get(seen.instance.as_str())?;
            let claimed = volume
                .claim
                .as_ref()
                .is_some_and(|claim| claims.contains(claim.uid.as_str()));
            if claimed || volume_fate(volume, node) != VolumeFate::Delete {
                return None;
            }
            let words = format!(
                "volume {} of node {} is {:?}: its provisioner has not emptied and published it again",
                volume.name, node.name, volume.phase
            );
            let repair = if !was_a_workers(volume, namespace) {
                Repair::Nothing(NOT_A_WORKERS.into())
            } else if seen.deletes {
                Repair::DeleteReleased(volume.clone())
            } else {
                Repair::Nothing("its reclaim policy is Retain: a person decides what is on it".into())
            };
            let mut finding = instance.finding(Kind::VolumeReleased, words, repair);
            finding.subject.clone_from(&volume.name);
            finding.since = seen.since;
            Some(finding)
        })
        .collect()
}

/// Claims that outlived the worker's pod that they were made for. Kubernetes' garbage collector deletes those. Any other
/// claim is somebody else's, whether or not a pod mounts it: a `StatefulSet` that is scaled to nothing wants its data.
pub(super) fn unclaimed(claims: &[SeenClaim], pods: &[SeenPod]) -> Vec<Finding> {
    let mounted: HashSet<_> = pods.iter().flat_map(|pod| &pod.claims).collect();
    let there: HashSet<_> = pods.iter().map(|pod| pod.uid.as_str()).collect();
    claims
        .iter()
        .filter(|seen| seen.storage_class == names::FAST_DISKS_CLASS && !seen.deleting && seen.worker)
        .filter(|seen| !mounted.contains(&seen.claim.name))
        .filter_map(|seen| Some((seen, seen.owner_pod.as_ref()?)))
        .filter(|(_, pod)| !there.contains(pod.uid.as_str()))
        .map(|(seen, pod)| {
            let claim = &seen.claim;
            let volume = seen.volume.as_deref().unwrap_or("no volume");
            Finding {
                kind: Kind::ClaimOrphaned,
                subject: format!("{}/{}", claim.namespace, claim.name),
                seen: format!(
                    "claim {}/{} on {volume} is owned by the worker's pod {}, which is gone",
                    claim.namespace, claim.name, pod.name
                ),
                since: None,
                about: About::Remains,
                repair: Repair::Nothing(
                    "Kubernetes' garbage collector deletes it: if it stays, look for what keeps kube-controller-manager from it"
                        .into(),
                ),
            }
        })
        .collect()
}
