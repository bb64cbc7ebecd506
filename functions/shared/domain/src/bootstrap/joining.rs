//! Which instances that are in service should carry a cache, and do not yet.

use std::collections::BTreeMap;

use crate::disks::Disk;
use crate::drift::{Group, SeenNode};
use crate::names;

/// An instance in service that has disks for a cache, and is not open for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjoined {
    /// `InstanceId`.
    pub instance: String,
    /// What it lacks.
    pub why: &'static str,
}

/// The instances that `node-join` is due for, in the order of their groups. A node that is being drained is not.
#[must_use]
pub fn unjoined(groups: &[Group], disks: &BTreeMap<String, Vec<Disk>>, nodes: &[SeenNode]) -> Vec<Unjoined> {
    let by_instance: BTreeMap<_, _> = nodes
        .iter()
        .filter_map(|node| Some((node.instance()?, &node.node)))
        .collect();
    let in_service = groups.iter().flat_map(|group| &group.members).filter(|member| {
        member.lifecycle_state == "InService"
            && disks
                .get(&member.instance_type)
                .is_some_and(|disks| !disks.is_empty())
    });
    in_service
        .filter_map(|member| {
            let why = match by_instance.get(member.instance.as_str()) {
                None => "is no node",
                Some(node) if node.draining_since().is_some() => return None,
                Some(node) if !node.labels.contains_key(names::WORKER_LABEL) => "has no worker",
                Some(node) if node.startup_taint => "is not open for work",
                Some(_) => return None,
            };
            Some(Unjoined {
                instance: member.instance.clone(),
                why,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Member;
    use crate::node::Node;

    const INSTANCE: &str = "i-0123456789abcdef0";

    fn found(state: &str, instance_type: &str, node: Option<Node>) -> Vec<Unjoined> {
        let group = Group {
            exists: true,
            members: vec![Member {
                instance: INSTANCE.into(),
                instance_type: instance_type.into(),
                lifecycle_state: state.into(),
            }],
            ..Group::default()
        };
        let disks = BTreeMap::from([
            ("m5d.4xlarge".to_owned(), vec![Disk { size_gb: 300 }]),
            ("m5.large".to_owned(), Vec::new()),
        ]);
        let nodes: Vec<_> = node
            .map(|node| SeenNode {
                node: Node {
                    provider_id: format!("aws:///us-west-2a/{INSTANCE}"),
                    ..node
                },
                ready_since: None,
            })
            .into_iter()
            .collect();
        unjoined(&[group], &disks, &nodes)
    }

    fn with_worker(startup_taint: bool) -> Node {
        Node {
            labels: BTreeMap::from([(names::WORKER_LABEL.to_owned(), "1x300g".to_owned())]),
            startup_taint,
            ..Node::default()
        }
    }

    fn why(node: Option<Node>) -> Option<&'static str> {
        found("InService", "m5d.4xlarge", node)
            .first()
            .map(|unjoined| unjoined.why)
    }

    #[test]
    fn an_instance_in_service_without_node_worker_or_way_in_has_not_joined() {
        assert_eq!(why(None), Some("is no node"));
        assert_eq!(why(Some(Node::default())), Some("has no worker"));
        assert_eq!(why(Some(with_worker(true))), Some("is not open for work"));
        assert_eq!(why(Some(with_worker(false))), None);
    }

    #[test]
    fn what_waits_in_a_hook_has_no_disks_or_is_drained_is_not_to_be_joined() {
        assert!(found("Pending:Wait", "m5d.4xlarge", None).is_empty());
        assert!(found("InService", "m5.large", None).is_empty());
        assert!(found("InService", "unknown", None).is_empty());
        let mut drained = Node::default();
        let since = "2026-01-01T00:00:00Z".to_owned();
        drained
            .annotations
            .insert(names::DRAIN_SINCE_ANNOTATION.into(), since);
        assert_eq!(why(Some(drained)), None);
    }
}
