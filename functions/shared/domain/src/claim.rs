//! Which of several executions about one node does the work: the one whose claim stands on the node.
//!
//! Triggers come several at once for one instance, and an execution cannot know of another before both are under way.
//! So each writes its claim onto the node before it changes anything else, in a patch that is refused where the node has
//! changed since it was looked at: of two that race, one looks again and finds the other's claim.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::names;
use crate::node::{Node, NodeChange};
use crate::ports::{Executions, Run};
use crate::resolve::Direction;
use crate::subject::Hook;

/// A deadline must be earlier by more than this to be a reason to take a node over. What is one happening to Auto
/// Scaling and EC2 arrives as several triggers some seconds apart, and their deadlines lie as far apart; a takeover
/// begins the passes through the worker's files anew, which costs as long as it would gain.
const EARLIER: SignedDuration = SignedDuration::from_secs(30);

/// An execution's claim on a node, and what it is to come to in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The ARN of the execution.
    pub execution: String,
    /// Which way it takes the node.
    pub direction: Direction,
    /// The hook that it completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// When it must have decided.
    pub deadline: Timestamp,
    /// Whether it ends the instance although no hook waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
    /// Whether the group then replaces the instance, and does not shrink.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reclaimed: bool,
    /// What a person asked for in so many words (`"terminate": true` or `false`); none where nobody did. It outlives the
    /// execution: a later drain that nobody told otherwise keeps an instance that a person wanted kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_to_terminate: Option<bool>,
}

/// What an execution does about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It writes this claim.
    Take(Claim),
    /// This claim is its own: nothing to write.
    Hold(Claim),
    /// Another one does the work, and why.
    GiveWay(String),
}

impl Claim {
    /// The claim that stands on a node; none where there is none, or nobody can read it. What was asked of a drain is over
    /// once its mark is off the node.
    #[must_use]
    pub fn on(node: &Node) -> Option<Self> {
        let text = node.annotations.get(names::EXECUTION_ANNOTATION)?;
        let claim: Self = serde_json::from_str(text).ok()?;
        Some(Self {
            asked_to_terminate: claim
                .asked_to_terminate
                .filter(|_| node.draining_since().is_some()),
            ..claim
        })
    }

    /// Whether a person asked that the instance stays. A hook that waits ends it whatever was asked.
    #[must_use]
    pub fn keeps_instance(&self) -> bool {
        self.asked_to_terminate == Some(false) && self.hook.is_none()
    }

    /// Whether it is the claim of a drain.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.direction == Direction::Drain
    }

    /// Adds the claim to a change of a node.
    ///
    /// # Errors
    /// `Defect` where it cannot be written as JSON.
    pub fn note(&self, change: &mut NodeChange) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorName::Defect, format!("the claim cannot be written: {error}"))
        })?;
        change.annotations.insert(names::EXECUTION_ANNOTATION, Some(text));
        Ok(())
    }

    /// The execution that must be asked about before [`decide`]: another one whose end changes the decision.
    #[must_use]
    pub fn rival<'a>(&self, other: Option<&'a Self>) -> Option<&'a str> {
        other
            .filter(|other| other.execution != self.execution && self.same_stack(other) && !self.wins(other))
            .map(|other| other.execution.as_str())
    }

    /// A drain need not know whether the node's join is still running.
    fn wins(&self, other: &Self) -> bool {
        self.direction == Direction::Drain && other.direction == Direction::Join
    }

    /// Whether both are executions of one stack's state machines, by their ARNs
    /// (`arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:name`). About those of another stack,
    /// which may have looked after the node before, nothing can be asked.
    fn same_stack(&self, other: &Self) -> bool {
        let stem = |claim: &Self| {
            let (machine, _) = claim.execution.rsplit_once(':')?;
            machine.strip_suffix(claim.direction.as_str()).map(str::to_owned)
        };
        stem(self).is_some() && stem(self) == stem(other)
    }

    /// Whether the instance is ended when this has come to a good end: a drain that completes its hook ends it too.
    const fn ends_instance(&self) -> bool {
        self.terminate || (matches!(self.direction, Direction::Drain) && self.hook.is_some())
    }

    /// Whether its group has one instance less afterwards: what somebody who ends it by hand wants.
    const fn shrinks_group(&self) -> bool {
        self.terminate && !self.replace
    }

    /// The same, bound by what a person asked of an earlier drain, where nobody has asked this one otherwise.
    fn bound_by(self, other: Option<&Self>) -> Self {
        let drains = |claim: &Self| claim.direction == Direction::Drain;
        let bound = other.is_some_and(|other| drains(other) && other.keeps_instance());
        if bound && drains(&self) && self.hook.is_none() && self.asked_to_terminate.is_none() {
            Self {
                asked_to_terminate: Some(false),
                ..self
            }
            .settled()
        } else {
            self
        }
    }

    /// What a person asked for goes before what the trigger brings by itself.
    fn settled(self) -> Self {
        let terminate = self.asked_to_terminate.unwrap_or(self.terminate);
        Self {
            terminate,
            replace: self.replace && terminate,
            ..self
        }
    }

    /// Whether this wants something that the other would not do.
    fn adds_to(&self, other: &Self) -> bool {
        (self.hook.is_some() && other.hook.is_none())
            || (self.ends_instance() && !other.ends_instance())
            || (self.shrinks_group() && other.terminate && other.replace)
            || (self.reclaimed && !other.reclaimed)
            || other.deadline.duration_since(self.deadline) > EARLIER
    }

    /// The same with what the other wanted.
    fn with_wishes_of(self, other: &Self) -> Self {
        let shrinks = self.shrinks_group() || other.shrinks_group();
        Self {
            hook: self.hook.or_else(|| other.hook.clone()),
            deadline: self.deadline.min(other.deadline),
            terminate: self.terminate || other.terminate,
            replace: (self.replace || other.replace) && !shrinks,
            reclaimed: self.reclaimed || other.reclaimed,
            asked_to_terminate: match (self.asked_to_terminate, other.asked_to_terminate) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (mine, theirs) => mine.or(theirs),
            },
            ..self
        }
        .settled()
    }
}

/// Whether the execution of the claim that stands on a node is still running, where [`decide`] must know.
///
/// # Errors
/// Those of `executions`.
pub async fn rival_runs(executions: &impl Executions, mine: &Claim, other: Option<&Claim>) -> Result<bool> {
    match mine.rival(other) {
        Some(rival) => executions.running(rival).await,
        None => Ok(false),
    }
}

/// Decides whether an execution takes a node. `other_runs` says whether the execution of the claim that stands there is
/// still running, where it is [`Claim::rival`].
///
/// Drain wins over join. Of the same kind the first stays, unless a later one wants more: then that one takes over with
/// the wishes of both. Each takeover adds something, so there is an end of them. Whether the instance is ended is what a
/// person asked for last, where one did.
#[must_use]
pub fn decide(mine: Claim, other: Option<&Claim>, other_runs: bool) -> Decision {
    let mine = mine.settled().bound_by(other);
    let Some(other) = other else {
        return Decision::Take(mine);
    };
    if other.execution == mine.execution {
        return Decision::Hold(other.clone());
    }
    if mine.rival(Some(other)).is_none() || !other_runs {
        return Decision::Take(mine);
    }
    if mine.direction == other.direction && mine.adds_to(other) {
        return Decision::Take(mine.with_wishes_of(other));
    }
    let does = match other.direction {
        Direction::Join => "joins",
        Direction::Drain => "drains",
    };
    Decision::GiveWay(format!("execution {} {does} this node already", other.execution))
}

/// Why an execution about an instance that ends has nothing left to do: the drain whose claim stands on the node has come
/// to its good end. The end of an instance is announced by its terminate action, and by each change of its state.
///
/// `ends` says that the instance ends, whatever this execution does; `run` is that of [`Claim::rival`].
#[must_use]
pub fn drained_before(mine: &Claim, other: Option<&Claim>, run: &Run, ends: bool) -> Option<String> {
    let other =
        other.filter(|other| other.direction == Direction::Drain && mine.direction == Direction::Drain)?;
    let drained = matches!(run, Run::Succeeded(outcome) if outcome == "drained");
    (ends && mine.hook.is_none() && drained).then(|| {
        format!(
            "execution {} has drained this node, and the instance ends",
            other.execution
        )
    })
}

/// Why an execution that had a node has it no longer; none where it has. Its hook, its deadline and whether the instance
/// is to be ended are the other's now.
#[must_use]
pub fn taken_over(node: &Node, execution: &str, direction: Direction) -> Option<String> {
    let holder = Claim::on(node)?;
    let theirs = holder.execution != execution
        && (holder.direction == direction || holder.direction == Direction::Drain);
    theirs.then(|| {
        format!(
            "node {} was taken over by execution {}",
            node.name, holder.execution
        )
    })
}

/// Whether a drain has the node, so that a join that gives way gives way to that drain.
#[must_use]
pub fn drained_by_another(node: &Node) -> bool {
    let claimed = Claim::on(node).is_some_and(|claim| claim.direction == Direction::Drain);
    claimed || node.draining_since().is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MACHINES: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn hook() -> Hook {
        Hook {
            name: "tidegate-node-drain".into(),
            heartbeat_seconds: 300,
            global_seconds: 30_000,
            default_result: "ABANDON".into(),
        }
    }

    fn claim(name: &str, direction: Direction, deadline: i64) -> Claim {
        Claim {
            execution: format!("{MACHINES}{}:{name}", direction.as_str()),
            direction,
            hook: None,
            deadline: at(deadline),
            terminate: false,
            replace: false,
            reclaimed: false,
            asked_to_terminate: None,
        }
    }

    fn drain(name: &str, deadline: i64) -> Claim {
        claim(name, Direction::Drain, deadline)
    }

    fn with_hook(claim: Claim) -> Claim {
        Claim {
            hook: Some(hook()),
            ..claim
        }
    }

    fn ending(claim: Claim) -> Claim {
        Claim {
            terminate: true,
            ..claim
        }
    }

    fn reclaimed(claim: Claim) -> Claim {
        Claim {
            reclaimed: true,
            ..claim
        }
    }

    fn replacing(claim: Claim) -> Claim {
        Claim {
            replace: true,
            ..ending(claim)
        }
    }

    /// All that can be wrong with one node within a second.
    fn triggers() -> Vec<Claim> {
        vec![
            reclaimed(drain("spot", 120)),
            reclaimed(drain("spot-again", 121)),
            with_hook(drain("terminate-action", 3_600)),
            with_hook(drain("terminate-action-again", 3_601)),
            drain("state-change", 3_602),
            replacing(drain("rebalance", 3_600)),
            ending(drain("person", 3_605)),
            drain("person-in-a-hurry", 600),
        ]
    }

    /// Calls `f` with each order of the items.
    fn in_every_order<T: Clone>(items: &[T], f: &mut impl FnMut(&[T])) {
        fn orders<T: Clone>(items: &mut [T], fixed: usize, f: &mut impl FnMut(&[T])) {
            if fixed == items.len() {
                return f(items);
            }
            for place in fixed..items.len() {
                items.swap(fixed, place);
                orders(items, fixed + 1, f);
                items.swap(fixed, place);
            }
        }
        orders(&mut items.to_vec(), 0, f);
    }

    /// Lets executions claim one node in that order, all of them running unless they have given way; answers the claim that
    /// stands there in the end, and those that gave way at once.
    fn play(order: &[Claim]) -> (Claim, BTreeSet<String>) {
        let mut node = Node::default();
        let mut gave_way = BTreeSet::new();
        for mine in order {
            let other = Claim::on(&node);
            let runs = mine
                .rival(other.as_ref())
                .is_some_and(|arn| !gave_way.contains(arn));
            match decide(mine.clone(), other.as_ref(), runs) {
                Decision::Take(claim) => write(&mut node, &claim),
                Decision::Hold(_) => panic!("{} has not claimed the node before", mine.execution),
                Decision::GiveWay(reason) => {
                    let holder = other.expect("another's claim");
                    assert!(reason.contains(&holder.execution), "{reason}");
                    gave_way.insert(mine.execution.clone());
                }
            }
        }
        let owner = Claim::on(&node).expect("a claim");
        (owner, gave_way)
    }

    fn write(node: &mut Node, claim: &Claim) {
        let mut change = NodeChange::default();
        claim.note(&mut change).expect("written");
        for (key, value) in change.annotations {
            node.annotations.insert(key.to_owned(), value.expect("set"));
        }
    }

    #[test]
    fn in_every_order_of_triggers_one_execution_remains_and_does_what_all_of_them_wanted() {
        let mut orders = 0;
        in_every_order(&triggers(), &mut |order| {
            orders += 1;
            let (owner, gave_way) = play(order);
            let node = Node {
                annotations: [(
                    names::EXECUTION_ANNOTATION.to_owned(),
                    serde_json::to_string(&owner).expect("JSON"),
                )]
                .into(),
                ..Node::default()
            };
            let remaining: Vec<_> = order
                .iter()
                .filter(|claim| !gave_way.contains(&claim.execution))
                .filter(|claim| taken_over(&node, &claim.execution, claim.direction).is_none())
                .map(|claim| &claim.execution)
                .collect();
            assert_eq!(remaining, [&owner.execution], "{order:#?}");
            assert_eq!(owner.hook, Some(hook()), "{order:#?}");
            assert!(owner.ends_instance(), "{order:#?}");
            assert!(owner.deadline.duration_since(at(120)) <= EARLIER, "{order:#?}");
        });
        assert_eq!(orders, 40_320);
    }

    #[test]
    fn without_a_hook_the_wish_of_a_person_to_end_the_instance_for_good_survives_every_order() {
        let unhooked: Vec<_> = triggers()
            .into_iter()
            .filter(|claim| claim.hook.is_none())
            .collect();
        in_every_order(&unhooked, &mut |order| {
            let (owner, _) = play(order);
            assert!(owner.shrinks_group(), "{order:#?}");
            assert_eq!(owner.hook, None, "{order:#?}");
        });
    }

    fn asked(claim: Claim, terminate: bool) -> Claim {
        Claim {
            terminate,
            asked_to_terminate: Some(terminate),
            ..claim
        }
    }

    fn marked(claim: &Claim) -> Node {
        let mut node = Node::default();
        write(&mut node, claim);
        let mark = names::DRAIN_SINCE_ANNOTATION.to_owned();
        node.annotations.insert(mark, at(0).to_string());
        node
    }

    fn taken(mine: Claim, other: &Claim, runs: bool) -> Claim {
        match decide(mine, Claim::on(&marked(other)).as_ref(), runs) {
            Decision::Take(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_instance_that_a_person_keeps_outlives_repairs() {
        let kept = asked(drain("person", 600), false);
        for later in [
            ending(drain("drift-drain-i-1-1", 3_600)),
            replacing(drain("drift-drain-i-1-2", 3_600)),
            replacing(drain("rebalance", 3_600)),
            reclaimed(drain("spot", 120)),
        ] {
            let claim = taken(later.clone(), &kept, false);
            assert!(!claim.terminate && !claim.replace, "{later:?}");
            // And the one after that.
            let next = taken(replacing(drain("next", 3_600)), &claim, false);
            assert!(!next.terminate && next.keeps_instance(), "{later:?}");
        }
    }

    #[test]
    fn a_repair_gives_way_to_a_drain_that_keeps() {
        let kept = asked(drain("person", 3_600), false);
        let repair = replacing(drain("drift-drain-i-1-1", 3_600));
        assert!(matches!(decide(repair, Some(&kept), true), Decision::GiveWay(_)));
    }

    #[test]
    fn what_a_person_asked_last_holds() {
        let keep = asked(drain("keep", 3_600), false);
        let end = asked(drain("end", 3_600), true);
        for runs in [true, false] {
            assert!(taken(end.clone(), &keep, runs).terminate);
        }
        assert!(!taken(keep.clone(), &end, false).terminate);
        let plain = ending(drain("plain", 3_600));
        assert!(!taken(keep, &plain, false).terminate);
    }

    #[test]
    fn of_two_people_at_once_one_ends_the_instance() {
        let keep = asked(drain("keep", 3_600), false);
        let end = asked(drain("end", 3_600), true);
        assert!(matches!(
            decide(keep.clone(), Some(&end), true),
            Decision::GiveWay(_)
        ));
        let both = taken(with_hook(keep), &end, true);
        assert!(both.terminate && !both.keeps_instance());
    }

    #[test]
    fn a_hook_ends_what_a_person_wanted_kept() {
        let kept = asked(drain("person", 3_600), false);
        for runs in [true, false] {
            let claim = taken(with_hook(drain("terminate-action", 3_600)), &kept, runs);
            assert!(claim.ends_instance() && !claim.keeps_instance());
            let repair = taken(ending(drain("drift-drain-i-1-1", 3_600)), &claim, false);
            assert!(repair.terminate, "retained, and nobody keeps it any more");
        }
    }

    #[test]
    fn what_was_asked_of_an_undone_drain_is_over() {
        let kept = asked(drain("person", 3_600), false);
        let mut node = marked(&kept);
        node.annotations.remove(names::DRAIN_SINCE_ANNOTATION);
        let found = Claim::on(&node).expect("a claim");
        assert_eq!(found.asked_to_terminate, None);
    }

    #[test]
    fn a_claim_of_an_earlier_release_is_understood() {
        let text = format!(
            r#"{{"execution": "{MACHINES}drain:e-1", "direction": "drain", "deadline": "2026-01-01T00:00:00Z"}}"#
        );
        let node = Node {
            annotations: [(names::EXECUTION_ANNOTATION.to_owned(), text)].into(),
            ..Node::default()
        };
        assert_eq!(Claim::on(&node).expect("a claim").asked_to_terminate, None);
    }

    #[test]
    fn a_group_replaces_what_nobody_wants_to_end_for_good() {
        let unhooked = [
            replacing(drain("rebalance", 3_600)),
            reclaimed(drain("spot", 120)),
            drain("state-change", 3_602),
        ];
        in_every_order(&unhooked, &mut |order| {
            let (owner, _) = play(order);
            assert!(owner.terminate && owner.replace && owner.reclaimed, "{order:#?}");
        });
    }

    #[test]
    fn no_order_makes_more_takeovers_than_there_are_things_to_want() {
        // A hook, the instance's end, its end for good, that it is taken away, and one for each deadline that is a reason
        // to take over.
        let most = 4 + 2;
        in_every_order(&triggers(), &mut |order| {
            let (_, gave_way) = play(order);
            let first_and_takeovers = order.len() - gave_way.len();
            assert!(first_and_takeovers <= 1 + most, "{order:#?}");
        });
    }

    #[test]
    fn a_drain_wins_over_joins_in_every_order() {
        let meeting = [
            with_hook(claim("launch-action", Direction::Join, 1_800)),
            claim("drift-join-i-1-1", Direction::Join, 60),
            with_hook(drain("terminate-action", 3_600)),
            drain("spot", 120),
        ];
        in_every_order(&meeting, &mut |order| {
            let (owner, _) = play(order);
            assert_eq!(owner.direction, Direction::Drain, "{order:#?}");
            assert!(owner.deadline >= at(120), "a join's wishes are none of a drain's");
            for join in order.iter().filter(|claim| claim.direction == Direction::Join) {
                let mut node = Node::default();
                write(&mut node, &owner);
                assert!(
                    taken_over(&node, &join.execution, Direction::Join).is_some(),
                    "{order:#?}"
                );
            }
        });
    }

    #[test]
    fn a_join_that_wants_more_takes_over_from_a_join() {
        let launched = with_hook(claim("launch-action", Direction::Join, 1_800));
        let by_hand = claim("person", Direction::Join, 600);
        in_every_order(&[launched, by_hand], &mut |order| {
            let (owner, _) = play(order);
            assert_eq!((owner.hook, owner.deadline), (Some(hook()), at(600)));
        });
    }

    #[test]
    fn what_an_ended_execution_wanted_is_over() {
        let ended = with_hook(ending(drain("ended", 10)));
        let mine = drain("mine", 3_600);
        assert_eq!(decide(mine.clone(), Some(&ended), false), Decision::Take(mine));
    }

    #[test]
    fn an_execution_that_claimed_before_holds_with_the_wishes_that_it_took_over() {
        let before = with_hook(drain("mine", 120));
        let again = decide(drain("mine", 3_600), Some(&before), false);
        assert_eq!(again, Decision::Hold(before));
    }

    #[test]
    fn nobody_is_asked_about_where_it_changes_nothing() {
        let mine = drain("mine", 3_600);
        let of_another_stack = Claim {
            execution: "arn:aws:states:us-west-2:123456789012:execution:old-node-drain:e-1".into(),
            ..drain("e-1", 3_600)
        };
        let by_hand = Claim {
            execution: "me".into(),
            ..drain("e-1", 3_600)
        };
        for other in [
            None,
            Some(mine.clone()),
            Some(claim("joined", Direction::Join, 1_800)),
            Some(of_another_stack),
            Some(by_hand),
        ] {
            assert_eq!(mine.rival(other.as_ref()), None);
            assert!(
                !matches!(decide(mine.clone(), other.as_ref(), true), Decision::GiveWay(_)),
                "{other:?}"
            );
        }
        let join = claim("launch-action", Direction::Join, 1_800);
        assert_eq!(join.rival(Some(&mine)), Some(mine.execution.as_str()));
        assert_eq!(
            mine.rival(Some(&drain("other", 0))),
            Some(format!("{MACHINES}drain:other").as_str())
        );
    }

    #[test]
    fn deadlines_that_are_nearly_the_same_are_no_reason_to_take_over() {
        let holder = drain("holder", 1_000);
        let with = |deadline| decide(drain("mine", deadline), Some(&holder), true);
        assert!(matches!(with(970), Decision::GiveWay(_)));
        assert!(matches!(with(969), Decision::Take(claim) if claim.deadline == at(969)));
    }

    #[test]
    fn a_drain_whose_hook_ends_the_instance_is_not_taken_over_to_end_it() {
        let holder = with_hook(drain("terminate-action", 1_000));
        assert!(matches!(
            decide(ending(drain("person", 1_000)), Some(&holder), true),
            Decision::GiveWay(_)
        ));
    }

    #[test]
    fn a_claim_is_read_as_it_was_written_and_what_is_none_counts_as_none() {
        for claim in triggers() {
            let mut node = Node::default();
            write(&mut node, &claim);
            assert_eq!(Claim::on(&node), Some(claim));
        }
        for text in ["", "{}", "null", r#"{"execution": 1}"#] {
            let node = Node {
                annotations: [(names::EXECUTION_ANNOTATION.to_owned(), text.to_owned())].into(),
                ..Node::default()
            };
            assert_eq!(Claim::on(&node), None, "{text}");
            assert_eq!(taken_over(&node, "mine", Direction::Drain), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_drained_instance_is_nobodys_work() {
        let (mine, done) = (drain("terminated", 3_600), drain("terminate-action", 3_600));
        let drained = Run::Succeeded("drained".into());
        let reason = drained_before(&mine, Some(&done), &drained, true).expect("nothing to do");
        assert!(reason.contains(&done.execution), "{reason}");
        for run in [Run::Running, Run::Over, Run::Succeeded("retained".into())] {
            assert_eq!(drained_before(&mine, Some(&done), &run, true), None, "{run:?}");
        }
        assert_eq!(
            drained_before(&mine, Some(&done), &drained, false),
            None,
            "it goes on"
        );
        assert_eq!(drained_before(&mine, None, &drained, true), None);
        let waited_for = with_hook(mine.clone());
        assert_eq!(drained_before(&waited_for, Some(&done), &drained, true), None);
        let joined = claim("launch-action", Direction::Join, 1_800);
        assert_eq!(drained_before(&mine, Some(&joined), &drained, true), None);
    }

    #[test]
    fn a_drain_goes_on_whatever_a_join_claims() {
        let mut node = Node::default();
        write(&mut node, &claim("launch-action", Direction::Join, 1_800));
        assert_eq!(taken_over(&node, "mine", Direction::Drain), None);
    }
}
