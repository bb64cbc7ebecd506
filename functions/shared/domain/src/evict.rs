//! Which pods leave a node, in which way, and when the node is clear.

use jiff::{SignedDuration, Timestamp};

use crate::node::Pod;

/// The scheduler may bind a pod that it chose just before it saw the cordon; a node is not clear before this long
/// after it.
const SCHEDULER_SETTLES: SignedDuration = SignedDuration::from_secs(5);

/// How long after the end of its grace period a pod that still stands is taken to be only a record: its kubelet is
/// gone, so nobody will ever confirm its end.
const KUBELET_CONFIRMS: SignedDuration = SignedDuration::from_secs(30);

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays: its node, its `DaemonSet` or nobody ends it, or it has ended.
    Stays,
    /// It is to be evicted.
    Leaves,
    /// It is on its way out.
    Leaving,
}

/// Decides what becomes of a pod.
#[must_use]
pub fn fate(pod: &Pod, node_ready: bool, now: Timestamp) -> Fate {
    if pod.mirror || pod.finished || pod.controller_kind.as_deref() == Some("DaemonSet") {
        return Fate::Stays;
    }
    match pod.deletion_time {
        Some(end) if !node_ready && now.duration_since(end) > KUBELET_CONFIRMS => Fate::Stays,
        Some(_) => Fate::Leaving,
        None => Fate::Leaves,
    }
}

/// Whether no pod is left that has to go.
#[must_use]
pub fn clear(pods: &[Pod], node_ready: bool, now: Timestamp) -> bool {
    pods.iter().all(|pod| fate(pod, node_ready, now) == Fate::Stays)
}

/// Whether the scheduler has seen the cordon for certain.
#[must_use]
pub fn settled(cordoned_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(cordoned_at) >= SCHEDULER_SETTLES
}

/// When evictions are given up and pods are deleted past their budgets: the eviction limit, or the execution's
/// deadline where that comes first.
#[must_use]
pub fn patience_ends(started_at: Timestamp, evict_limit_seconds: u32, deadline: Timestamp) -> Timestamp {
    deadline.min(started_at + SignedDuration::from_secs(evict_limit_seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn owned_by(kind: &str) -> Pod {
        Pod {
            controller_kind: Some(kind.into()),
            ..Pod::default()
        }
    }

    #[test]
    fn pods_that_somebody_else_ends_stay() {
        for pod in [
            owned_by("DaemonSet"),
            Pod {
                mirror: true,
                ..Pod::default()
            },
            Pod {
                finished: true,
                ..owned_by("Job")
            },
        ] {
            assert_eq!(fate(&pod, true, at(0)), Fate::Stays, "{pod:?}");
        }
    }

    #[test]
    fn every_other_pod_leaves_also_one_that_nobody_will_start_again() {
        for pod in [owned_by("ReplicaSet"), owned_by("StatefulSet"), Pod::default()] {
            assert_eq!(fate(&pod, true, at(0)), Fate::Leaves, "{pod:?}");
        }
    }

    #[test]
    fn a_node_is_clear_when_the_last_pod_is_gone_not_when_it_is_told_to_go() {
        let leaving = Pod {
            deletion_time: Some(at(100)),
            ..Pod::default()
        };
        assert!(!clear(&[leaving], true, at(500)));
        assert!(clear(&[owned_by("DaemonSet")], true, at(500)));
    }

    #[test]
    fn a_pod_whose_kubelet_is_gone_is_not_waited_for_for_ever() {
        let leaving = Pod {
            deletion_time: Some(at(100)),
            ..Pod::default()
        };
        assert_eq!(fate(&leaving, false, at(130)), Fate::Leaving);
        assert_eq!(fate(&leaving, false, at(131)), Fate::Stays);
    }

    #[test]
    fn the_scheduler_gets_its_time_to_see_the_cordon() {
        assert!(!settled(at(0), at(4)));
        assert!(settled(at(0), at(5)));
    }

    #[test]
    fn patience_ends_with_the_eviction_limit_or_the_deadline() {
        assert_eq!(patience_ends(at(0), 900, at(3_600)), at(900));
        assert_eq!(patience_ends(at(0), 900, at(120)), at(120));
    }
}
