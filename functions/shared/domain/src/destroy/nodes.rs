//! What nodes keep of us in a cluster that stays: nothing.

use std::collections::BTreeSet;

use crate::cordon::MARKS;
use crate::drift::SeenNode;
use crate::names;
use crate::node::NodeChange;

/// Those that `label-node` and `schedule-worker` set. What a node group sets by itself is its user's.
const LABELS: [&str; 4] = [
    names::INSTANCE_ID_LABEL,
    names::FAST_DISK_LABEL,
    names::DISK_LAYOUT_LABEL,
    names::WORKER_LABEL,
];
/// What is to be taken off a node; none where there is nothing, or where it is neither of an instance of our groups nor
/// labelled by us. A cordon stays: whoever had the node drained may rely on it.
#[must_use]
pub fn release(seen: &SeenNode, members: &BTreeSet<&str>) -> Option<NodeChange> {
    let node = &seen.node;
    let labelled = node.labels.contains_key(names::INSTANCE_ID_LABEL);
    if !labelled && !seen.instance().is_some_and(|instance| members.contains(instance)) {
        return None;
    }
    let mut change = NodeChange {
        remove_startup_taint: node.startup_taint,
        ..NodeChange::default()
    };
    let labels = LABELS.into_iter().filter(|name| node.labels.contains_key(*name));
    change.labels = labels.map(|name| (name, None)).collect();
    let annotations = MARKS.into_iter().chain([names::TAKES_COPIES_ANNOTATION]);
    let annotations = annotations.filter(|name| node.annotations.contains_key(*name));
    change.annotations = annotations.map(|name| (name, None)).collect();
    change.release_scale_down(node);
    (change != NodeChange::default()).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    const INSTANCE: &str = "i-0123456789abcdef0";

    fn seen(labels: &[&str], annotations: &[&str], startup_taint: bool) -> SeenNode {
        let all = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), "x".to_owned()))
                .collect()
        };
        SeenNode {
            node: Node {
                provider_id: format!("aws:///us-west-2a/{INSTANCE}"),
                labels: all(labels),
                annotations: all(annotations),
                startup_taint,
                unschedulable: true,
                ..Node::default()
            },
            ready_since: None,
        }
    }

    #[test]
    fn all_that_was_set_on_a_node_of_ours_goes_and_what_others_set_stays() {
        let node = seen(
            &[
                names::INSTANCE_ID_LABEL,
                names::WORKER_LABEL,
                names::MEMORY_WORKER_LABEL,
                "team",
            ],
            &[
                names::EXECUTION_ANNOTATION,
                names::SCALE_DOWN_HELD_ANNOTATION,
                "note",
            ],
            false,
        );
        let change = release(&node, &BTreeSet::new()).expect("something is on it");
        let labels: Vec<_> = change.labels.into_keys().collect();
        assert_eq!(labels, [names::WORKER_LABEL, names::INSTANCE_ID_LABEL]);
        let annotations: Vec<_> = change.annotations.into_keys().collect();
        assert_eq!(
            annotations,
            [
                names::SCALE_DOWN_DISABLED_ANNOTATION,
                names::EXECUTION_ANNOTATION,
                names::SCALE_DOWN_HELD_ANNOTATION
            ]
        );
        assert!(!change.uncordon);
    }

    #[test]
    fn a_node_that_never_joined_is_opened_where_its_instance_is_of_our_groups() {
        let closed = seen(&[], &[], true);
        let change = release(&closed, &BTreeSet::from([INSTANCE])).expect("ours");
        assert!(change.remove_startup_taint);
        assert_eq!(release(&closed, &BTreeSet::from(["i-0fedcba9876543210"])), None);
    }

    #[test]
    fn a_node_on_which_nothing_of_ours_is_left_is_not_touched() {
        let clean = seen(&["team"], &["note"], false);
        assert_eq!(release(&clean, &BTreeSet::from([INSTANCE])), None);
    }
}
