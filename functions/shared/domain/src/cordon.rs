//! What a drain writes on its node, and how that is taken back.

use jiff::Timestamp;

use crate::names;
use crate::node::{Node, NodeChange};

/// What a drain writes on its node, beside what keeps Cluster Autoscaler away.
pub const MARKS: [&str; 4] = [
    names::DRAIN_SINCE_ANNOTATION,
    names::DECOMMISSIONED_AT_ANNOTATION,
    names::EXECUTION_ANNOTATION,
    names::CORDONED_BEFORE_ANNOTATION,
];

/// Cordons a node, marks it as being drained and keeps Cluster Autoscaler from it; none where all of that is so already.
/// A cordon that stood before the drain is noted, so that it still stands when the drain is undone.
#[must_use]
pub fn cordon(node: &Node, now: Timestamp) -> Option<NodeChange> {
    let marked = node.draining_since().is_some();
    if marked && node.unschedulable {
        return None;
    }
    let mut change = NodeChange {
        cordon: true,
        ..NodeChange::default()
    };
    if node.unschedulable {
        let noted = Some(names::TRUE.to_owned());
        change
            .annotations
            .insert(names::CORDONED_BEFORE_ANNOTATION, noted);
    } else if cordoned_before(node) {
        // Whoever had cordoned the node has uncordoned it since.
        change.annotations.insert(names::CORDONED_BEFORE_ANNOTATION, None);
    }
    if !marked {
        change
            .annotations
            .insert(names::DRAIN_SINCE_ANNOTATION, Some(now.to_string()));
        change.hold_scale_down(node);
        change.name_instance(node);
    }
    Some(change)
}

/// Takes back what [`cordon`] did: the marks, what keeps Cluster Autoscaler away, and the cordon, unless that stood
/// before the drain.
#[must_use]
pub fn undo(node: &Node) -> NodeChange {
    let written = MARKS
        .into_iter()
        .filter(|mark| node.annotations.contains_key(*mark));
    let mut change = NodeChange {
        annotations: written.map(|mark| (mark, None)).collect(),
        uncordon: node.unschedulable && node.draining_since().is_some() && !cordoned_before(node),
        ..NodeChange::default()
    };
    change.release_scale_down(node);
    change
}

/// Whether a drained node was cordoned before its drain began.
#[must_use]
pub fn cordoned_before(node: &Node) -> bool {
    node.annotations.contains_key(names::CORDONED_BEFORE_ANNOTATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    /// The node after a change of it.
    fn changed(node: &Node, change: &NodeChange) -> Node {
        let mut node = node.clone();
        for (name, value) in &change.annotations {
            match value {
                Some(value) => node.annotations.insert((*name).to_owned(), value.clone()),
                None => node.annotations.remove(*name),
            };
        }
        node.unschedulable = (node.unschedulable || change.cordon) && !change.uncordon;
        node
    }

    fn drained(node: &Node) -> Node {
        changed(node, &cordon(node, at(7)).expect("to cordon"))
    }

    fn cordoned_by_a_person() -> Node {
        Node {
            unschedulable: true,
            ..Node::default()
        }
    }

    #[test]
    fn a_cordon_from_before_the_drain_outlives_it() {
        for before in [Node::default(), cordoned_by_a_person()] {
            let drained = drained(&before);
            assert!(drained.unschedulable);
            assert_eq!(changed(&drained, &undo(&drained)), before);
        }
    }

    #[test]
    fn a_second_drain_remembers_the_first_cordon() {
        let drained = drained(&cordoned_by_a_person());
        assert_eq!(cordon(&drained, at(9)), None);
        assert!(cordoned_before(&drained));
    }

    #[test]
    fn a_cordon_that_a_person_took_off_is_forgotten() {
        let mut node = drained(&cordoned_by_a_person());
        node.unschedulable = false;
        let again = changed(&node, &cordon(&node, at(9)).expect("to cordon"));
        assert!(again.unschedulable && !cordoned_before(&again));
        // The mark was taken off by hand, and the note stayed.
        let mut node = drained(&cordoned_by_a_person());
        node.annotations.remove(names::DRAIN_SINCE_ANNOTATION);
        node.unschedulable = false;
        let again = changed(&node, &cordon(&node, at(9)).expect("to cordon"));
        assert!(!cordoned_before(&again));
    }

    #[test]
    fn a_drain_puts_a_wrong_instance_label_right() {
        let right = "i-0123456789abcdef0";
        for wrong in [
            "i-0fedcba9876543210",
            "I-0123456789ABCDEF0",
            "i-0123456789abcdef0_",
            "",
        ] {
            let node = Node {
                provider_id: format!("aws:///us-west-2a/{right}"),
                labels: [(names::INSTANCE_ID_LABEL.to_owned(), wrong.to_owned())].into(),
                ..Node::default()
            };
            let change = cordon(&node, at(7)).expect("to cordon");
            let id = Some(right.to_owned());
            assert_eq!(change.labels, [(names::INSTANCE_ID_LABEL, id)].into(), "{wrong}");
        }
    }

    #[test]
    fn a_cordon_without_a_drain_is_not_undone() {
        assert_eq!(undo(&cordoned_by_a_person()), NodeChange::default());
    }

    #[test]
    fn a_node_that_never_joined_gets_the_label_that_it_is_found_by() {
        let mut node = Node {
            provider_id: "aws:///us-west-2a/i-0123456789abcdef0".into(),
            ..Node::default()
        };
        let change = cordon(&node, at(7)).expect("to cordon");
        let id = Some("i-0123456789abcdef0".to_owned());
        assert_eq!(change.labels, [(names::INSTANCE_ID_LABEL, id)].into());
        node.labels
            .insert(names::INSTANCE_ID_LABEL.into(), "i-0123456789abcdef0".into());
        assert_eq!(cordon(&node, at(7)).expect("to cordon").labels, [].into());
    }

    #[test]
    fn a_second_cordon_keeps_the_time_of_the_first() {
        let change = cordon(&Node::default(), at(7)).expect("to cordon");
        assert!(change.cordon);
        let annotations = change
            .annotations
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.expect("set")))
            .collect();
        let marked = Node {
            annotations,
            ..Node::default()
        };
        assert_eq!(marked.draining_since(), Some(at(7)));
        let again = cordon(&marked, at(9)).expect("uncordoned meanwhile");
        assert!(again.cordon && again.annotations.is_empty());
        assert_eq!(
            cordon(
                &Node {
                    unschedulable: true,
                    ..marked
                },
                at(9)
            ),
            None
        );
    }

    #[test]
    fn a_drain_keeps_cluster_autoscaler_away() {
        let change = cordon(&Node::default(), at(7)).expect("to cordon");
        for name in [
            names::SCALE_DOWN_DISABLED_ANNOTATION,
            names::SCALE_DOWN_HELD_ANNOTATION,
        ] {
            assert_eq!(change.annotations.get(name), Some(&Some("true".to_owned())));
        }
        let kept = Node {
            annotations: [(
                names::SCALE_DOWN_DISABLED_ANNOTATION.to_owned(),
                "true".to_owned(),
            )]
            .into(),
            ..Node::default()
        };
        let change = cordon(&kept, at(7)).expect("to cordon");
        assert_eq!(change.annotations.len(), 1, "{change:?}");
    }
}
