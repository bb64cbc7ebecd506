//! Which pods leave a node, in which way, and when no pod is left that the drain waits for.

use jiff::{SignedDuration, Timestamp};

use crate::deadline::Frame;
use crate::names;
use crate::node::{Node, Pod};
use crate::ports::{Deletion, Eviction, RefusedBy};

/// The scheduler may bind a pod that it chose just before it saw the cordon; a node is not clear before this long
/// after it.
const SCHEDULER_SETTLES: SignedDuration = SignedDuration::from_secs(5);

/// How long after the end of its grace period a pod that still stands is taken to be only a record: its kubelet is
/// gone, so nothing will ever confirm its end.
const KUBELET_CONFIRMS: SignedDuration = SignedDuration::from_secs(30);

/// How long after the end of its grace period a pod of a kubelet that works is waited for. Its containers were killed when
/// that ended; what still holds it is a volume that cannot be unmounted, or a finalizer.
const REMAINS_CLEARED: SignedDuration = SignedDuration::from_secs(300);

/// How long before its grace period must begin a pod is deleted: a round of evictions, the pause between two calls, and
/// the start of the second take less.
const BEFORE_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays: its node or its `DaemonSet` ends it, or it has ended.
    Stays,
    /// It is to be evicted.
    Leaves,
    /// It is on its way out.
    Leaving,
    /// It came after the cordon, of which it takes no notice. Its predecessor was evicted, and another would come after
    /// it: it stays as long as the instance does.
    Returned,
    /// Its grace period is long over, and it is still there.
    Stuck,
}

impl Fate {
    /// Whether the drain waits for such a pod.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Leaves | Self::Leaving)
    }
}

/// Decides what becomes of a pod of a node.
#[must_use]
pub fn fate(pod: &Pod, node: &Node, now: Timestamp) -> Fate {
    if pod.mirror || pod.finished || pod.controller_kind.as_deref() == Some("DaemonSet") {
        return Fate::Stays;
    }
    match pod.deletion_time.map(|end| now.duration_since(end)) {
        Some(over) if !node.ready && over > KUBELET_CONFIRMS => Fate::Stays,
        Some(over) if over > REMAINS_CLEARED => Fate::Stuck,
        Some(_) => Fate::Leaving,
        None if returned(pod, node) => Fate::Returned,
        None => Fate::Leaves,
    }
}

/// Whether a pod came after the cordon and will come again. The API server's times are in whole seconds.
fn returned(pod: &Pod, node: &Node) -> bool {
    pod.past_cordon.is_some()
        && pod
            .created
            .zip(cordoned_since(node))
            .is_some_and(|(created, since)| created.as_second() >= since.as_second())
}

/// Since when the node is cordoned for its drain: from the drain's mark on, or later where the cordon was taken off
/// meanwhile.
fn cordoned_since(node: &Node) -> Option<Timestamp> {
    let mark = node.draining_since()?;
    let taint = node
        .other_taints
        .iter()
        .find(|taint| taint.key == names::CORDON_TAINT);
    let again = taint.and_then(|taint| taint.time_added);
    Some(again.map_or(mark, |again| again.max(mark)))
}

/// How long disruption budgets are respected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Where the end is as near as it usually is, in seconds.
    pub limit_seconds: u32,
    /// At the most, where the end was announced long before, in seconds.
    pub announced_limit_seconds: u32,
    /// What a drain usually takes, in seconds: what of an announced time is left to save the cache and to retire the
    /// worker after the last budget.
    pub drain_limit_seconds: u32,
}

impl Patience {
    /// When a pod is deleted past its budget: when the limit is over, or earlier where its own grace period would not fit
    /// before the deadline any more.
    ///
    /// A grace period that is longer than all the time there is cannot be had anyway. Where EC2 takes the instance away
    /// (`reclaimed`) the pod is deleted at once, to have what there is; otherwise budget and pod get half of the time each.
    #[must_use]
    pub fn ends(&self, frame: &Frame, reclaimed: bool, grace_seconds: u32) -> Timestamp {
        let whole = frame.deadline.duration_since(frame.started_at);
        let limit = frame.started_at + SignedDuration::from_secs(self.limit(whole).into());
        let grace = SignedDuration::from_secs(grace_seconds.into()) + BEFORE_GRACE;
        let latest = if grace <= whole {
            frame.deadline - grace
        } else if reclaimed {
            frame.started_at
        } else {
            frame.started_at + whole / 2
        };
        limit.min(latest).max(frame.started_at)
    }

    /// Seconds for which budgets are respected, where there is that much time for the whole drain.
    fn limit(&self, whole: SignedDuration) -> u32 {
        let spare = whole.as_secs() - i64::from(self.drain_limit_seconds);
        let announced = u32::try_from(spare.max(0)).unwrap_or(u32::MAX);
        self.limit_seconds
            .max(announced.min(self.announced_limit_seconds))
    }
}

/// How a pod is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Within its disruption budget.
    Eviction,
    /// Past it.
    Deletion,
}

/// Decides how a pod is sent away, whose budget is respected until `patience_ends`.
///
/// An Alluxio master is never deleted past its budget: the budget keeps the quorum, without which neither this drain nor
/// any other saves anything.
#[must_use]
pub fn way(pod: &Pod, patience_ends: Timestamp, now: Timestamp) -> Way {
    let master = pod.role.as_deref() == Some(names::MASTER_ROLE);
    if now >= patience_ends && !master {
        Way::Deletion
    } else {
        Way::Eviction
    }
}

/// What came of sending a pod away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone, or going.
    Goes,
    /// It cannot go yet, and the drain waits for it: why.
    Waits(String),
    /// It does not go, and the drain does not wait for it: why.
    Remains(String),
}

impl Verdict {
    /// The verdict on an eviction. Past the deadline nothing is left to wait for.
    #[must_use]
    pub fn of_eviction(answer: Eviction, expired: bool) -> Self {
        match answer {
            Eviction::Accepted => Self::Goes,
            Eviction::Blocked(budget) => Self::refused(budget, !expired),
            Eviction::Throttled => Self::refused("the API server is throttling".to_owned(), !expired),
            Eviction::Refused(refusal) => Self::refused(refusal.words, !expired),
        }
    }

    /// The verdict on a deletion. Whoever has denied it may think better of it before the deadline; a right that is
    /// missing comes with no waiting.
    #[must_use]
    pub fn of_deletion(answer: Deletion, expired: bool) -> Self {
        match answer {
            Deletion::Accepted | Deletion::Gone => Self::Goes,
            Deletion::Refused(refusal) => {
                Self::refused(refusal.words, !expired && refusal.by != RefusedBy::Rights)
            }
        }
    }

    fn refused(why: String, wait: bool) -> Self {
        if wait {
            Self::Waits(why)
        } else {
            Self::Remains(why)
        }
    }
}

/// Whether the scheduler has seen the cordon for certain.
#[must_use]
pub fn settled(cordoned_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(cordoned_at) >= SCHEDULER_SETTLES
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::node::{PastCordon, Taint};
    use crate::ports::Refusal;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn owned_by(kind: &str) -> Pod {
        Pod {
            controller_kind: Some(kind.into()),
            ..Pod::default()
        }
    }

    fn node(ready: bool) -> Node {
        Node {
            ready,
            ..Node::default()
        }
    }

    /// A node whose drain began then.
    fn drained_since(second: i64) -> Node {
        let mark = (names::DRAIN_SINCE_ANNOTATION.to_owned(), at(second).to_string());
        Node {
            annotations: [mark].into(),
            ..node(true)
        }
    }

    /// A pod that tolerates everything, made then.
    fn tolerant(created: i64) -> Pod {
        Pod {
            created: Some(at(created)),
            past_cordon: Some(PastCordon::Tolerates),
            ..owned_by("ReplicaSet")
        }
    }

    #[test]
    fn pods_that_something_else_ends_stay() {
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
            assert_eq!(fate(&pod, &node(true), at(0)), Fate::Stays, "{pod:?}");
        }
    }

    #[test]
    fn every_other_pod_leaves_also_a_bare_one() {
        for pod in [owned_by("ReplicaSet"), owned_by("StatefulSet"), Pod::default()] {
            assert_eq!(fate(&pod, &node(true), at(0)), Fate::Leaves, "{pod:?}");
        }
    }

    #[test]
    fn a_pod_that_ends_is_waited_for_until_it_is_gone() {
        let leaving = Pod {
            deletion_time: Some(at(100)),
            ..Pod::default()
        };
        let fates = [50, 100, 400, 401].map(|now| fate(&leaving, &node(true), at(now)));
        assert_eq!(fates, [Fate::Leaving, Fate::Leaving, Fate::Leaving, Fate::Stuck]);
        assert!(Fate::Leaving.holds() && !Fate::Stuck.holds());
    }

    #[test]
    fn a_pod_whose_kubelet_is_gone_is_only_a_record() {
        let leaving = Pod {
            deletion_time: Some(at(100)),
            ..Pod::default()
        };
        assert_eq!(fate(&leaving, &node(false), at(130)), Fate::Leaving);
        assert_eq!(fate(&leaving, &node(false), at(131)), Fate::Stays);
    }

    #[test]
    fn a_pod_that_ignores_the_cordon_leaves_once() {
        let node = drained_since(100);
        let named = |created| Pod {
            past_cordon: Some(PastCordon::NamesNode),
            ..tolerant(created)
        };
        for pod in [tolerant(99), named(99)] {
            assert_eq!(fate(&pod, &node, at(200)), Fate::Leaves, "the first");
        }
        for pod in [tolerant(100), named(100), tolerant(150)] {
            assert_eq!(fate(&pod, &node, at(200)), Fate::Returned, "the second");
        }
        assert!(!Fate::Returned.holds());
    }

    #[test]
    fn a_pod_that_heeds_the_cordon_leaves_late_too() {
        // It was bound before the scheduler saw the cordon, or while a person had taken the cordon off.
        let pod = Pod {
            past_cordon: None,
            ..tolerant(150)
        };
        assert_eq!(fate(&pod, &drained_since(100), at(200)), Fate::Leaves);
    }

    #[test]
    fn a_cordon_that_was_off_counts_from_its_return() {
        let mut node = drained_since(100);
        node.other_taints.push(Taint {
            key: names::CORDON_TAINT.into(),
            effect: "NoSchedule".into(),
            time_added: Some(at(160)),
            ..Taint::default()
        });
        assert_eq!(fate(&tolerant(150), &node, at(200)), Fate::Leaves);
        assert_eq!(fate(&tolerant(160), &node, at(200)), Fate::Returned);
    }

    const PATIENCE: Patience = Patience {
        limit_seconds: 900,
        announced_limit_seconds: 43_200,
        drain_limit_seconds: 3_600,
    };

    fn frame(start: i64, deadline: i64) -> Frame {
        Frame {
            started_at: at(start),
            deadline: at(deadline),
        }
    }

    /// Every patience with every frame, whether reclaimed or not, and every grace period.
    fn everything(check: impl Fn(Patience, Frame, bool, u32)) {
        let seconds = [0, 1, 10, 30, 40, 60, 120, 121, 900, 3_600, 7_200, 172_800];
        for limit_seconds in [0, 60, 900, 7_200] {
            for announced_limit_seconds in [0, 43_200, 172_800] {
                let patience = Patience {
                    limit_seconds,
                    announced_limit_seconds,
                    ..PATIENCE
                };
                for (whole, grace) in iter::zip(seconds, iter::repeat(seconds))
                    .flat_map(|(whole, graces)| graces.map(|grace| (whole, grace)))
                {
                    for reclaimed in [false, true] {
                        let grace = u32::try_from(grace).expect("small");
                        check(patience, frame(1_000, 1_000 + whole), reclaimed, grace);
                    }
                }
            }
        }
    }

    #[test]
    fn a_grace_period_always_fits_before_the_deadline() {
        everything(|patience, frame, reclaimed, grace| {
            let ends = patience.ends(&frame, reclaimed, grace);
            let latest = frame.deadline - SignedDuration::from_secs(grace.into()) - BEFORE_GRACE;
            if latest >= frame.started_at {
                assert!(ends <= latest, "{patience:?} {frame:?} {reclaimed} {grace}");
            } else if reclaimed {
                assert_eq!(ends, frame.started_at, "{patience:?} {frame:?} {grace}");
            }
        });
    }

    #[test]
    fn patience_lies_between_start_and_deadline() {
        everything(|patience, frame, reclaimed, grace| {
            let ends = patience.ends(&frame, reclaimed, grace);
            assert!(
                frame.started_at <= ends && ends <= frame.deadline,
                "{patience:?} {frame:?} {reclaimed} {grace}: {ends}"
            );
        });
    }

    #[test]
    fn a_budget_has_its_limit_where_grace_allows() {
        everything(|patience, frame, reclaimed, grace| {
            let limit = SignedDuration::from_secs(patience.limit_seconds.into());
            let grace_fits = SignedDuration::from_secs(grace.into()) + BEFORE_GRACE + limit
                <= frame.deadline.duration_since(frame.started_at);
            if grace_fits {
                let ends = patience.ends(&frame, reclaimed, grace);
                assert!(
                    ends >= frame.started_at + limit,
                    "{patience:?} {frame:?} {reclaimed} {grace}: {ends}"
                );
            }
        });
    }

    #[test]
    fn an_announced_end_leaves_time_for_the_drain() {
        everything(|patience, frame, reclaimed, grace| {
            let whole = frame.deadline.duration_since(frame.started_at).as_secs();
            if whole > i64::from(patience.drain_limit_seconds + patience.limit_seconds) {
                let ends = patience.ends(&frame, reclaimed, grace);
                let left = frame.deadline.duration_since(ends).as_secs();
                assert!(
                    left >= i64::from(patience.drain_limit_seconds),
                    "{patience:?} {frame:?} {reclaimed} {grace}: {left} s"
                );
            }
        });
    }

    #[test]
    fn more_notice_never_means_less_patience() {
        for grace in [0, 30, 600] {
            let ends = |whole| PATIENCE.ends(&frame(0, whole), false, grace);
            for whole in (0..200_000).step_by(250) {
                // Where the grace period fits at all: before that, half of the time is the budget's.
                if whole >= i64::from(grace) + 10 {
                    assert!(ends(whole) <= ends(whole + 250), "{whole} s, grace {grace} s");
                }
            }
        }
    }

    #[test]
    fn patience_by_hand_on_spot_and_weeks_ahead() {
        let ends = |whole, reclaimed, grace| PATIENCE.ends(&frame(0, whole), reclaimed, grace);
        assert_eq!(ends(3_600, false, 30), at(900));
        assert_eq!(ends(120, true, 60), at(50));
        assert_eq!(ends(120, true, 120), at(0));
        assert_eq!(ends(120, false, 120), at(60));
        assert_eq!(ends(3_600 + 43_200, false, 30), at(43_200));
        assert_eq!(ends(14 * 86_400, false, 30), at(43_200));
    }

    #[test]
    fn a_pod_is_deleted_once_patience_has_ended() {
        let pod = Pod::default();
        assert_eq!(way(&pod, at(50), at(49)), Way::Eviction);
        assert_eq!(way(&pod, at(50), at(50)), Way::Deletion);
    }

    #[test]
    fn a_master_is_never_deleted_past_its_budget() {
        let master = Pod {
            role: Some(names::MASTER_ROLE.into()),
            ..owned_by("StatefulSet")
        };
        for now in [0, 50, 1_000_000] {
            assert_eq!(way(&master, at(50), at(now)), Way::Eviction);
        }
        // It is waited for up to the deadline.
        let held = Eviction::Blocked("alluxio-master needs 2".into());
        assert!(matches!(
            Verdict::of_eviction(held.clone(), false),
            Verdict::Waits(why) if why == "alluxio-master needs 2"
        ));
        assert!(matches!(Verdict::of_eviction(held, true), Verdict::Remains(_)));
    }

    #[test]
    fn a_refused_deletion_is_waited_for_only_if_that_helps() {
        let refused = |by, expired| {
            let words = "no".to_owned();
            let refusal = Refusal { by, words };
            matches!(
                Verdict::of_deletion(Deletion::Refused(refusal), expired),
                Verdict::Waits(_)
            )
        };
        for by in [
            RefusedBy::Admission,
            RefusedBy::Webhook,
            RefusedBy::Silence,
            RefusedBy::Server,
        ] {
            assert!(refused(by, false), "{by:?}");
            assert!(!refused(by, true), "{by:?}");
        }
        assert!(!refused(RefusedBy::Rights, false));
        for gone in [Deletion::Accepted, Deletion::Gone] {
            assert_eq!(Verdict::of_deletion(gone, false), Verdict::Goes);
        }
    }

    #[test]
    fn the_scheduler_gets_its_time_to_see_the_cordon() {
        assert!(!settled(at(0), at(4)));
        assert!(settled(at(0), at(5)));
    }
}
