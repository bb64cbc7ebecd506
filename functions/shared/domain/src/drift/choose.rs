//! Which of what differs is repaired in this check, and why the rest is not.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::finding::{About, Finding, Repair};
use super::kind::Kind;
use super::memory::Told;
use super::request::Request;
use super::running::named;
use super::snapshot::{Group, RunningExecution};
use crate::resolve::Direction;

/// From the beginning of a check to the first heartbeat of the execution that it starts, at the longest.
const STARTS: SignedDuration = SignedDuration::from_secs(120);

/// How often repairs may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Percent of a group that may be under repair at once; at least one instance always may.
    pub percent: u32,
    /// How long something must differ before it is touched: events, starts and restarts are on their way for a while.
    pub settle_seconds: u32,
}

impl Budget {
    /// How many of so many.
    fn share(self, of: usize) -> usize {
        (of.saturating_mul(usize::try_from(self.percent).unwrap_or(usize::MAX)) / 100).max(1)
    }

    fn settle_seconds(self, kind: Kind) -> u32 {
        match kind {
            // A provisioner empties a released volume file by file.
            Kind::VolumeReleased => self.settle_seconds.saturating_mul(5),
            Kind::HookDrifted | Kind::RetentionDrifted | Kind::RuleDisabled | Kind::ManifestDrifted => 0,
            _ => self.settle_seconds,
        }
    }
}

/// What becomes of a finding in this check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is repaired.
    Repair,
    /// It is not, and why.
    Not(String),
    /// There is nothing to repair, and why.
    Unneeded(String),
}

/// When a check looks, and when the one before it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// When the last check looked that could judge the instances that wait; none where there is none, or it could not.
    pub before: Option<Timestamp>,
    /// When this one does.
    pub now: Timestamp,
}

impl Looks {
    /// Whether a hook that no earlier check saw waiting still waits when the check after the next one has started
    /// somebody for it: of two checks one may fail.
    fn leave_time(self, heartbeat_seconds: u32) -> bool {
        self.before.is_some_and(|before| {
            let interval = self.now.duration_since(before);
            let runs_out = before + SignedDuration::from_secs(heartbeat_seconds.into());
            self.now + interval * 2 + STARTS < runs_out
        })
    }
}

/// Chooses, in the order of the findings. Of an instance one finding is repaired, the most urgent, and none while an
/// earlier repair of it runs.
#[must_use]
pub fn choose(
    told: &[Told],
    request: &Request,
    budget: Budget,
    groups: &[Group],
    running: &[RunningExecution],
    looks: Looks,
) -> Vec<Choice> {
    let shares = Shares::new(budget, groups, running);
    let mut state = State {
        same: same_kind(told),
        shares,
        taken: HashSet::new(),
    };
    let mut order: Vec<_> = (0..told.len()).collect();
    order.sort_by_key(|index| (told[*index].finding.kind, told[*index].since));
    let mut choices = vec![Choice::Repair; told.len()];
    for index in order {
        choices[index] = state.choose(&told[index], request, budget, looks);
    }
    choices
}

/// How many instances of a group show a kind.
fn same_kind(told: &[Told]) -> HashMap<(Kind, String), usize> {
    let mut same = HashMap::new();
    for told in told {
        if let About::Instance { group, .. } = &told.finding.about {
            *same.entry((told.finding.kind, group.clone())).or_default() += 1;
        }
    }
    same
}

struct State {
    same: HashMap<(Kind, String), usize>,
    shares: Shares,
    taken: HashSet<String>,
}

impl State {
    fn choose(&mut self, told: &Told, request: &Request, budget: Budget, looks: Looks) -> Choice {
        let finding = &told.finding;
        let not = |why: String| Choice::Not(why);
        match &finding.repair {
            Repair::Nothing(why) => return not(why.clone()),
            Repair::Unneeded(why) => return Choice::Unneeded(why.clone()),
            _ => {}
        }
        if !request.allows(finding.kind) {
            return not("not among the kinds to repair".into());
        }
        let settle = i64::from(budget.settle_seconds(finding.kind));
        if told.age_seconds(looks.now) < settle && !cannot_wait(told, looks) {
            return not(format!("it must last for {settle} s before it is touched"));
        }
        match &finding.about {
            About::Setting => {}
            About::Remains => {
                if !self.shares.take(None) {
                    return not("as many repairs as may be at once are under way".into());
                }
            }
            // Serving nothing, it costs its group nothing to have it seen to.
            About::Waiting { instance, .. } => {
                if !self.taken.insert(instance.clone()) {
                    return not("this instance is being repaired already".into());
                }
            }
            About::Instance { group, instance } => {
                if let Some(why) = self.outage(finding, group) {
                    return not(why);
                }
                if self.taken.contains(instance) {
                    return not("this instance is being repaired already".into());
                }
                if !self.shares.take(Some(group)) {
                    return not(format!(
                        "as many instances of group {group} as may be at once are under repair"
                    ));
                }
                self.taken.insert(instance.clone());
            }
        }
        if request.plan {
            return not("would be done: this is a plan".into());
        }
        Choice::Repair
    }

    /// What is the same on more instances than may be repaired at once is not their fault: ending them would not help.
    fn outage(&self, finding: &Finding, group: &str) -> Option<String> {
        let ends = match &finding.repair {
            Repair::Execution(start) => start.direction == Direction::Drain,
            _ => false,
        };
        let own_fault = matches!(finding.kind, Kind::WorkerShort | Kind::DisksMislabelled);
        let same = self.same.get(&(finding.kind, group.to_owned())).copied()?;
        let share = self.shares.of(group);
        (ends && own_fault && same > share).then(|| {
            format!("the same on {same} instances of group {group}, so not their own fault: see to the cause first")
        })
    }
}

/// Whether something is touched at its first sight: the hook of an instance runs out before a later check would be in time.
fn cannot_wait(told: &Told, looks: Looks) -> bool {
    match told.finding.about {
        About::Waiting {
            heartbeat_seconds: Some(heartbeat),
            ..
        } if told.finding.kind != Kind::InstanceRetained => !told.is_new() || !looks.leave_time(heartbeat),
        _ => false,
    }
}

/// How many repairs are left.
struct Shares {
    whole: HashMap<String, usize>,
    left: HashMap<String, usize>,
    remains: usize,
}

impl Shares {
    fn new(budget: Budget, groups: &[Group], running: &[RunningExecution]) -> Self {
        let under_repair: HashSet<_> = running
            .iter()
            .filter(|running| running.name.starts_with("drift-"))
            .filter_map(|running| named(&running.name))
            .collect();
        let mut shares = Self {
            whole: HashMap::new(),
            left: HashMap::new(),
            remains: budget.share(groups.iter().map(|group| group.members.len()).sum()),
        };
        for group in groups {
            let whole = budget.share(group.members.len());
            let spent = group
                .members
                .iter()
                // One that waits for a hook, or is retained, serves nothing whether it is under repair or not.
                .filter(|member| member.lifecycle_state == "InService")
                .filter(|member| under_repair.contains(member.instance.as_str()))
                .count();
            shares.whole.insert(group.name.clone(), whole);
            shares
                .left
                .insert(group.name.clone(), whole.saturating_sub(spent));
        }
        shares
    }

    fn of(&self, group: &str) -> usize {
        self.whole.get(group).copied().unwrap_or_default()
    }

    /// Spends one; of a group, or of what nodes have left behind.
    fn take(&mut self, group: Option<&str>) -> bool {
        let left = match group {
            None => Some(&mut self.remains),
            Some(group) => self.left.get_mut(group),
        };
        match left {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Start;
    use crate::drift::fixtures::{at, finding, group_of, instance_finding};

    const BUDGET: Budget = Budget {
        percent: 10,
        settle_seconds: 60,
    };

    const LOOKS: Looks = Looks {
        before: None,
        now: Timestamp::constant(1_800_000_100, 0),
    };

    fn id(index: usize) -> String {
        format!("i-{index:017x}")
    }

    fn told(finding: Finding, since: i64) -> Told {
        Told {
            finding,
            since: at(since),
            checks: 2,
        }
    }

    fn on(kind: Kind, count: usize) -> Vec<Told> {
        (0..count)
            .map(|index| told(instance_finding(kind, &id(index)), 0))
            .collect()
    }

    fn repairs(told: &[Told], request: &Request, size: usize, running: &[RunningExecution]) -> usize {
        let group = group_of(size, "InService");
        let choices = choose(told, request, BUDGET, &[group], running, LOOKS);
        choices.iter().filter(|choice| **choice == Choice::Repair).count()
    }

    fn reason(told: Told, request: &Request) -> String {
        match choose(&[told], request, BUDGET, &[group_of(1, "InService")], &[], LOOKS).remove(0) {
            Choice::Not(why) | Choice::Unneeded(why) => why,
            Choice::Repair => "repaired".to_owned(),
        }
    }

    #[test]
    fn a_tenth_of_a_group_is_repaired_at_once_and_always_one() {
        let all = Request::default();
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 100), &all, 100, &[]), 10);
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 19), &all, 19, &[]), 1);
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 3), &all, 3, &[]), 1);
    }

    #[test]
    fn repairs_that_still_run_are_part_of_the_share() {
        let running: Vec<_> = (50..54)
            .map(|index| RunningExecution {
                arn: String::new(),
                name: format!("drift-drain-{}-1", id(index)),
                direction: Direction::Drain,
                subjects: None,
            })
            .collect();
        let all = Request::default();
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 20), &all, 100, &running), 6);
    }

    #[test]
    fn an_execution_that_an_event_started_is_no_repair() {
        let running = RunningExecution {
            arn: String::new(),
            name: format!("event-{}", id(0)),
            direction: Direction::Drain,
            subjects: None,
        };
        let all = Request::default();
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 1), &all, 3, &[running]), 1);
    }

    #[test]
    fn an_instance_is_repaired_once_for_its_most_urgent_kind() {
        let told = [
            told(instance_finding(Kind::NodeIncomplete, &id(0)), 0),
            told(instance_finding(Kind::WorkerRevived, &id(0)), 0),
        ];
        let group = group_of(100, "InService");
        let choices = choose(&told, &Request::default(), BUDGET, &[group], &[], LOOKS);
        assert_eq!(
            choices,
            [
                Choice::Not("this instance is being repaired already".into()),
                Choice::Repair
            ]
        );
    }

    #[test]
    fn what_lasts_longest_comes_first() {
        let told = [
            told(instance_finding(Kind::NodeIncomplete, &id(0)), 20),
            told(instance_finding(Kind::NodeIncomplete, &id(1)), 10),
        ];
        let group = group_of(2, "Pending:Wait");
        let choices = choose(&told, &Request::default(), BUDGET, &[group], &[], LOOKS);
        assert_eq!(choices[1], Choice::Repair);
        assert!(matches!(choices[0], Choice::Not(_)));
    }

    #[test]
    fn a_plan_repairs_nothing_and_says_what_it_would() {
        let plan = Request {
            plan: true,
            repair: None,
        };
        assert_eq!(repairs(&on(Kind::NodeIncomplete, 5), &plan, 10, &[]), 0);
        let why = reason(told(instance_finding(Kind::NodeIncomplete, &id(0)), 0), &plan);
        assert!(why.starts_with("would be done"), "{why}");
    }

    #[test]
    fn only_the_kinds_that_were_asked_for_are_repaired() {
        let request = Request {
            plan: false,
            repair: Some([Kind::WorkerRevived].into()),
        };
        let of = |kind| reason(told(instance_finding(kind, &id(0)), 0), &request);
        assert_eq!(of(Kind::WorkerRevived), "repaired");
        assert_eq!(of(Kind::NodeIncomplete), "not among the kinds to repair");
    }

    #[test]
    fn what_differs_only_just_now_is_not_touched() {
        let of = |kind, since| reason(told(finding(kind, "x"), since), &Request::default());
        assert_eq!(
            of(Kind::ClaimOrphaned, 41),
            "it must last for 60 s before it is touched"
        );
        assert_eq!(of(Kind::ClaimOrphaned, 40), "repaired");
        assert!(of(Kind::VolumeReleased, 0).contains("300 s"));
        assert_eq!(of(Kind::RuleDisabled, 100), "repaired");
    }

    #[test]
    fn what_nothing_of_ours_sets_right_is_said() {
        let mut lost = finding(Kind::WorkerForgotten, "10.0.0.7");
        lost.repair = Repair::Nothing("it expires".into());
        assert_eq!(reason(told(lost, 0), &Request::default()), "it expires");
    }

    #[test]
    fn the_same_shortage_on_many_nodes_is_an_outage_and_drains_none() {
        let drains = |count| {
            let mut told = on(Kind::WorkerShort, count);
            for told in &mut told {
                told.finding.repair = Repair::Execution(Start::of(Direction::Drain, &told.finding.subject));
            }
            told
        };
        let all = Request::default();
        assert_eq!(repairs(&drains(10), &all, 100, &[]), 10);
        assert_eq!(repairs(&drains(11), &all, 100, &[]), 0);
    }

    #[test]
    fn of_what_nodes_left_behind_no_more_than_the_share_of_all_instances_goes_at_once() {
        let volumes: Vec<_> = (0..30)
            .map(|index| {
                let mut finding = finding(Kind::VolumeOrphaned, &index.to_string());
                finding.about = About::Remains;
                told(finding, 0)
            })
            .collect();
        assert_eq!(repairs(&volumes, &Request::default(), 100, &[]), 10);
    }

    #[test]
    fn settings_are_set_right_however_many() {
        let rules: Vec<_> = (0..30)
            .map(|index| told(finding(Kind::RuleDisabled, &index.to_string()), 0))
            .collect();
        assert_eq!(repairs(&rules, &Request::default(), 1, &[]), 30);
    }

    fn waiting(kind: Kind, index: usize) -> Told {
        let mut finding = instance_finding(kind, &id(index));
        finding.about = About::Waiting {
            group: "nvme-nodes".into(),
            instance: id(index),
            heartbeat_seconds: Some(1_800),
        };
        told(finding, 0)
    }

    const WAITING: [Kind; 3] = [Kind::DrainStalled, Kind::InstanceRetained, Kind::JoinStalled];

    #[test]
    fn instances_that_wait_use_up_no_share() {
        for kind in WAITING {
            let mut told: Vec<_> = (0..30).map(|index| waiting(kind, index)).collect();
            told.extend((30..40).map(|index| told_of(Kind::NodeIncomplete, index)));
            assert_eq!(repairs(&told, &Request::default(), 100, &[]), 40, "{kind}");
        }
    }

    fn told_of(kind: Kind, index: usize) -> Told {
        told(instance_finding(kind, &id(index)), 0)
    }

    #[test]
    fn an_instance_that_waits_is_not_held_back_by_the_share() {
        let none = Budget { percent: 0, ..BUDGET };
        let mut told = vec![told_of(Kind::WorkerRevived, 0), told_of(Kind::WorkerRevived, 1)];
        told.extend(
            WAITING
                .into_iter()
                .zip(2..)
                .map(|(kind, index)| waiting(kind, index)),
        );
        let group = group_of(5, "InService");
        let choices = choose(&told, &Request::default(), none, &[group], &[], LOOKS);
        let repaired: Vec<_> = choices.iter().map(|choice| *choice == Choice::Repair).collect();
        assert_eq!(repaired, [true, false, true, true, true]);
    }

    #[test]
    fn a_drain_of_a_retained_instance_uses_up_no_share() {
        let running = RunningExecution {
            arn: String::new(),
            name: format!("drift-drain-{}-1", id(0)),
            direction: Direction::Drain,
            subjects: None,
        };
        let mut group = group_of(3, "InService");
        group.members[0].lifecycle_state = "Terminating:Retained".into();
        let told = [told_of(Kind::NodeIncomplete, 1)];
        let choices = choose(&told, &Request::default(), BUDGET, &[group], &[running], LOOKS);
        assert_eq!(choices, [Choice::Repair]);
    }

    /// What becomes of an instance that waits, at the first sight of it, with checks so many seconds apart.
    fn at_first_sight(kind: Kind, interval: i64, heartbeat: u32) -> Choice {
        let mut told = waiting(kind, 0);
        (told.since, told.checks) = (LOOKS.now, 1);
        if let About::Waiting {
            heartbeat_seconds, ..
        } = &mut told.finding.about
        {
            *heartbeat_seconds = Some(heartbeat);
        }
        let looks = Looks {
            before: Some(LOOKS.now - SignedDuration::from_secs(interval)),
            ..LOOKS
        };
        let group = group_of(1, "InService");
        choose(&[told], &Request::default(), BUDGET, &[group], &[], looks).remove(0)
    }

    #[test]
    fn an_event_that_is_seconds_late_starts_nothing_twice() {
        for kind in WAITING {
            let choice = at_first_sight(kind, 300, 1_800);
            assert!(
                matches!(choice, Choice::Not(why) if why.contains("60 s")),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_hook_that_runs_out_soon_is_seen_to_at_once() {
        for kind in [Kind::DrainStalled, Kind::JoinStalled] {
            assert_eq!(at_first_sight(kind, 300, 900), Choice::Repair, "{kind}");
        }
        let retained = at_first_sight(Kind::InstanceRetained, 300, 900);
        assert!(matches!(retained, Choice::Not(_)), "it is kept as it is");
    }

    #[test]
    fn a_wrong_layout_on_many_nodes_drains_none() {
        let drains = |index| {
            let mut told = told_of(Kind::DisksMislabelled, index);
            told.finding.repair = Repair::Execution(Start::of(Direction::Drain, &id(index)));
            told
        };
        let all: Vec<_> = (0..11).map(drains).collect();
        assert_eq!(repairs(&all, &Request::default(), 100, &[]), 0);
        assert_eq!(repairs(&all[..10], &Request::default(), 100, &[]), 10);
    }
}
