//! Which instances of a group are drained now, where AWS leaves the time to drain only a share of them at once.
//!
//! Each instance that can wait has an execution of node-drain that does nothing but wait, its ticket. A ticket is named
//! after the time and the id of its event and after its instance (`turn-1796040000-EVENT-INSTANCE`), so the names of the
//! running executions are the queue, and nothing else must be kept. When its turn comes, the ticket starts the drain as
//! an execution of its own (`leave-1796040000-EVENT-INSTANCE`), which then has all the time that a drain may have.
//!
//! Step Functions lists an execution a moment after it has started, so now and then one instance more than the share is
//! drained at once.
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html>

// The functions run on one thread and never hand these futures to another.
#![allow(async_fn_in_trait)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::drift::instance_named;
use crate::error::Result;
use crate::several::name_part;
use crate::subject::InstanceId;

const TICKET: &str = "turn-";
const DRAIN: &str = "leave-";
/// The lifecycle state of an instance that its group counts on.
const IN_SERVICE: &str = "InService";

/// A ticket looks at the queue once it is this old, in seconds: by then the tickets of the same event are listed.
const SETTLE_SECONDS: i64 = 5;
/// The shortest pause between two looks, in seconds, and the one for each share that is still ahead.
const PAUSE_SECONDS: i64 = 30;
/// The longest pause, in seconds.
const LONGEST_PAUSE_SECONDS: i64 = 600;
/// A pause is at least this part of the ticket's age. A day of waiting then makes some 250 looks, and the history of an
/// execution holds 25,000 events, nine for each look.
const PAUSE_PART: i64 = 50;
/// After a day a ticket is replaced by a new one with the same place in the queue: an execution ends after 49 hours.
const LONGEST_WAIT_SECONDS: i64 = 86_400;
/// Seconds between the end of a drain and the day on which AWS acts that are kept free, for the start of the drain and
/// the end of the instance.
const SPARE_SECONDS: i64 = 900;

/// A group as Auto Scaling shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSize {
    /// `DesiredCapacity`.
    pub desired: usize,
    /// Its instances, each with its lifecycle state.
    pub members: Vec<(InstanceId, String)>,
}

impl GroupSize {
    fn in_service(&self) -> impl Iterator<Item = &InstanceId> {
        self.members
            .iter()
            .filter(|(_, state)| state == IN_SERVICE)
            .map(|(instance, _)| instance)
    }

    fn state(&self, instance: &InstanceId) -> Option<&str> {
        let mut members = self.members.iter();
        let found = members.find(|(member, _)| member == instance);
        found.map(|(_, state)| state.as_str())
    }
}

/// An execution of node-drain that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningDrain {
    /// Its name.
    pub name: String,
    /// `startDate`.
    pub started_at: Timestamp,
}

/// The sizes of groups.
pub trait GroupSizes {
    /// That group; empty where Auto Scaling knows none of that name.
    async fn group_size(&self, group: &str) -> Result<GroupSize>;
}

/// The executions of node-drain.
pub trait RunningDrains {
    /// Those of the state machine with that ARN that run.
    async fn running_drains(&self, machine: &str) -> Result<Vec<RunningDrain>>;
}

/// How many instances of a group may be drained at once, and how long a drain may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Percent of the group's desired capacity; at least one instance always may be drained.
    pub percent: u32,
    /// The longest drain, in seconds.
    pub drain_limit_seconds: u32,
}

impl Pace {
    fn share(self, group: &GroupSize) -> usize {
        let percent = usize::try_from(self.percent).unwrap_or(usize::MAX);
        (group.desired.saturating_mul(percent) / 100).max(1)
    }
}

/// An execution that waits for its instance's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The execution's name.
    pub name: String,
    /// When the execution started.
    pub started_at: Timestamp,
    /// The instance.
    pub instance: InstanceId,
    /// When AWS acts on the instance, drained or not; none where no day is set.
    pub before: Option<Timestamp>,
}

/// What a ticket does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It starts the drain, for that reason.
    Come(String),
    /// It waits, for that reason and that many seconds.
    Wait(String, u32),
    /// It starts a ticket in its place, for that reason.
    HandOver(String),
}

/// The beginning of a ticket's name, for an event of that time and id.
#[must_use]
pub fn ticket_name(at: Timestamp, event_id: Option<&str>) -> String {
    let name = format!("{TICKET}{}-{}", at.as_second(), event_id.unwrap_or_default());
    name_part(name.trim_end_matches('-')).unwrap_or(name)
}

/// Whether an execution of that name is a ticket.
#[must_use]
pub fn is_ticket(name: &str) -> bool {
    queued_at(name).is_some()
}

/// The time in a ticket's name: its place in the queue.
fn queued_at(name: &str) -> Option<i64> {
    name.strip_prefix(TICKET)?.split('-').next()?.parse().ok()
}

impl Ticket {
    /// The beginning of the name of its drain: the instance follows.
    #[must_use]
    pub fn drain_name(&self) -> String {
        let name = format!("{DRAIN}{}", self.stem());
        name_part(&name).unwrap_or(name)
    }

    /// The beginning of the name of the ticket that waits in its place. When it started tells it apart from this one.
    #[must_use]
    pub fn next_name(&self) -> String {
        let queued = queued_at(&self.name).unwrap_or_else(|| self.started_at.as_second());
        format!("{TICKET}{queued}-{}", self.started_at.as_second())
    }

    /// The name without what marks it as a ticket, and without the instance.
    fn stem(&self) -> &str {
        let name = self.name.strip_prefix(TICKET).unwrap_or(&self.name);
        let name = name.strip_suffix(self.instance.as_str()).unwrap_or(name);
        name.trim_end_matches('-')
    }

    fn place(name: &str, started_at: Timestamp) -> (Option<i64>, Timestamp, &str) {
        (queued_at(name), started_at, name)
    }

    /// What it does now.
    #[must_use]
    pub fn turn(&self, pace: Pace, group: &GroupSize, running: &[RunningDrain], now: Timestamp) -> Turn {
        let instance = &self.instance;
        match group.state(instance) {
            Some(IN_SERVICE) => {}
            Some(state) if state.starts_with("Pending") => {
                let reason = format!("instance {instance} is {state}: it is drained once it has joined");
                return self.wait(reason, 1, None, now);
            }
            Some(state) => {
                return Turn::Come(format!("instance {instance} is {state}, and waits for nobody"));
            }
            None => return Turn::Come(format!("instance {instance} has left its group")),
        }
        let latest = self.before.and_then(|before| {
            let needed = i64::from(pace.drain_limit_seconds) + SPARE_SECONDS;
            before.checked_sub(SignedDuration::from_secs(needed)).ok()
        });
        if let (Some(before), Some(latest)) = (self.before, latest)
            && latest <= now
        {
            return Turn::Come(format!(
                "AWS acts on instance {instance} at {before}, and a drain may take {} s: it waits for no other",
                pace.drain_limit_seconds
            ));
        }
        let share = pace.share(group);
        let ahead = self.ahead(group, running);
        let missing = group.desired.saturating_sub(group.in_service().count());
        let away = ahead.len() + missing;
        let settled = now.duration_since(self.started_at).as_secs() >= SETTLE_SECONDS;
        if away < share && settled {
            return Turn::Come(format!(
                "it is the turn of instance {instance}: {away} of {share} that may be away at once are away"
            ));
        }
        let listed: Vec<_> = ahead.iter().take(3).map(|other| other.as_str()).collect();
        let reason = format!(
            "{share} of {} instances may be away at once; {} drained first{}; {missing} not in service",
            group.desired,
            ahead.len(),
            if listed.is_empty() {
                String::new()
            } else {
                format!(
                    " ({}{})",
                    listed.join(", "),
                    if ahead.len() > 3 { ", ..." } else { "" }
                )
            },
        );
        if !settled {
            return Turn::Wait(reason, u32::try_from(SETTLE_SECONDS).unwrap_or_default());
        }
        if now.duration_since(self.started_at).as_secs() >= LONGEST_WAIT_SECONDS {
            return Turn::HandOver(format!(
                "{reason}; another execution goes on waiting in its place"
            ));
        }
        self.wait(reason, away / share, latest, now)
    }

    /// The instances in service that are drained before this one: those whose tickets are older, and those of which
    /// another execution's name says that it works on them.
    fn ahead<'a>(&self, group: &'a GroupSize, running: &[RunningDrain]) -> BTreeSet<&'a InstanceId> {
        let mine = Self::place(&self.name, self.started_at);
        let first = |other: &&RunningDrain| {
            !is_ticket(&other.name) || Self::place(&other.name, other.started_at) < mine
        };
        let named: BTreeSet<_> = running
            .iter()
            .filter(first)
            .filter_map(|other| instance_named(&other.name))
            .collect();
        group
            .in_service()
            .filter(|member| **member != self.instance && named.contains(member.as_str()))
            .collect()
    }

    /// Who is further behind looks more rarely, and so does who has waited for long.
    fn wait(&self, reason: String, shares_ahead: usize, latest: Option<Timestamp>, now: Timestamp) -> Turn {
        let shares_ahead = i64::try_from(shares_ahead).unwrap_or(i64::MAX);
        let age = now.duration_since(self.started_at).as_secs();
        let pause = PAUSE_SECONDS.saturating_mul(shares_ahead).max(age / PAUSE_PART);
        let left = latest.map_or(i64::MAX, |latest| latest.duration_since(now).as_secs().max(1));
        let pause = pause.clamp(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS).min(left);
        Turn::Wait(reason, u32::try_from(pause).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        percent: 10,
        drain_limit_seconds: 3_600,
    };

    fn instance(number: usize) -> InstanceId {
        InstanceId::parse(&format!("i-{number:017x}")).expect("valid")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_796_040_000 + seconds).expect("valid")
    }

    fn group(size: usize) -> GroupSize {
        GroupSize {
            desired: size,
            members: (0..size).map(|n| (instance(n), IN_SERVICE.to_owned())).collect(),
        }
    }

    fn ticket(number: usize, started: i64) -> Ticket {
        Ticket {
            name: format!("{}-{}", ticket_name(at(0), Some("e-1")), instance(number)),
            started_at: at(started),
            instance: instance(number),
            before: None,
        }
    }

    fn running(ticket: &Ticket) -> RunningDrain {
        RunningDrain {
            name: ticket.name.clone(),
            started_at: ticket.started_at,
        }
    }

    fn drain_of(ticket: &Ticket) -> RunningDrain {
        RunningDrain {
            name: format!("{}-{}", ticket.drain_name(), ticket.instance),
            started_at: at(50),
        }
    }

    fn tickets(count: usize) -> Vec<Ticket> {
        (0..count).map(|number| ticket(number, 0)).collect()
    }

    fn those_who_go(tickets: &[Ticket], group: &GroupSize, running: &[RunningDrain]) -> Vec<usize> {
        let goes = |ticket: &Ticket| matches!(ticket.turn(PACE, group, running, at(60)), Turn::Come(_));
        let order = tickets.iter().enumerate().filter(|(_, ticket)| goes(ticket));
        order.map(|(index, _)| index).collect()
    }

    #[test]
    fn of_200_that_wait_a_tenth_goes_first() {
        let tickets = tickets(200);
        let listed: Vec<_> = tickets.iter().map(running).collect();
        let first: Vec<_> = (0..20).collect();
        assert_eq!(those_who_go(&tickets, &group(200), &listed), first);
    }

    #[test]
    fn of_a_small_group_one_goes_first() {
        let tickets = tickets(3);
        let listed: Vec<_> = tickets.iter().map(running).collect();
        assert_eq!(those_who_go(&tickets, &group(3), &listed), [0]);
    }

    #[test]
    fn the_next_goes_when_the_replacement_has_joined() {
        let waiting = tickets(3).split_off(1);
        let mut listed: Vec<_> = waiting.iter().map(running).collect();
        let first = ticket(0, 0);
        listed.push(drain_of(&first));
        let mut group = group(3);
        assert_eq!(
            those_who_go(&waiting, &group, &listed),
            [0; 0],
            "the first is drained"
        );
        listed.pop();
        group.members[0].1 = "Terminating:Wait".to_owned();
        assert_eq!(those_who_go(&waiting, &group, &listed), [0; 0], "the first ends");
        group.members[0] = (instance(7), "Pending:Wait".to_owned());
        assert_eq!(
            those_who_go(&waiting, &group, &listed),
            [0; 0],
            "its replacement joins"
        );
        group.members[0].1 = IN_SERVICE.to_owned();
        assert_eq!(those_who_go(&waiting, &group, &listed), [0]);
    }

    #[test]
    fn an_older_event_comes_first_however_late() {
        let mut late = ticket(2, 40);
        late.name = format!("{}-{}", ticket_name(at(-100), Some("e-0")), late.instance);
        let early = ticket(1, 0);
        let listed = [running(&early), running(&late)];
        assert_eq!(those_who_go(&[early, late], &group(3), &listed), [1]);
    }

    #[test]
    fn a_repair_of_the_drift_check_counts_too() {
        let mine = ticket(0, 0);
        let repair = RunningDrain {
            name: format!("drift-drain-{}-1", instance(1)),
            started_at: at(59),
        };
        assert_eq!(
            those_who_go(std::slice::from_ref(&mine), &group(3), &[running(&mine), repair]),
            [0; 0]
        );
    }

    #[test]
    fn two_tickets_of_one_instance_do_not_wait_for_each_other() {
        let first = ticket(0, 0);
        let mut second = ticket(0, 10);
        second.name = format!("{}-{}", ticket_name(at(5), Some("e-2")), second.instance);
        let listed = [running(&first), running(&second)];
        assert_eq!(those_who_go(&[first, second], &group(3), &listed), [0, 1]);
    }

    #[test]
    fn instances_of_another_group_are_not_counted() {
        let mine = ticket(1, 30);
        let listed = [running(&ticket(70, 0)), running(&mine)];
        assert_eq!(those_who_go(&[mine], &group(3), &listed), [0]);
    }

    #[test]
    fn where_time_is_short_nobody_waits() {
        let mut mine = ticket(1, 0);
        let listed = [running(&ticket(0, -10)), running(&mine)];
        mine.before = Some(at(60 + 3_600 + 900 + 1));
        assert_eq!(
            those_who_go(std::slice::from_ref(&mine), &group(3), &listed),
            [0; 0]
        );
        assert!(matches!(
            mine.turn(PACE, &group(3), &listed, at(60)),
            Turn::Wait(_, 1)
        ));
        assert!(matches!(
            mine.turn(PACE, &group(3), &listed, at(61)),
            Turn::Come(_)
        ));
    }

    #[test]
    fn an_instance_that_joins_is_drained_after_that() {
        let mine = ticket(0, 0);
        let mut group = group(3);
        group.members[0].1 = "Pending:Wait".to_owned();
        let Turn::Wait(reason, _) = mine.turn(PACE, &group, &[running(&mine)], at(60)) else {
            panic!("it waits");
        };
        assert!(reason.contains("once it has joined"), "{reason}");
    }

    #[test]
    fn an_instance_that_leaves_anyway_does_not_wait() {
        let mine = ticket(0, 0);
        let mut group = group(3);
        group.members[0].1 = "Terminating:Wait".to_owned();
        assert!(matches!(mine.turn(PACE, &group, &[], at(0)), Turn::Come(_)));
        group.members.remove(0);
        assert!(matches!(mine.turn(PACE, &group, &[], at(0)), Turn::Come(_)));
    }

    #[test]
    fn the_first_look_waits_for_the_listing() {
        let mine = ticket(0, 60);
        assert!(matches!(
            mine.turn(PACE, &group(3), &[], at(61)),
            Turn::Wait(_, 5)
        ));
        assert!(matches!(mine.turn(PACE, &group(3), &[], at(65)), Turn::Come(_)));
    }

    #[test]
    fn a_day_of_waiting_makes_few_looks() {
        let first = ticket(0, -10);
        let mine = ticket(1, 0);
        let listed = [running(&first), running(&mine)];
        let (mut now, mut looks) = (at(5), 0);
        while let Turn::Wait(_, seconds) = mine.turn(PACE, &group(3), &listed, now) {
            now += SignedDuration::from_secs(seconds.into());
            looks += 1;
        }
        assert!((100..300).contains(&looks), "{looks} looks");
        assert!(matches!(
            mine.turn(PACE, &group(3), &listed, now),
            Turn::HandOver(_)
        ));
    }

    #[test]
    fn who_is_far_behind_looks_rarely() {
        let tickets = tickets(200);
        let listed: Vec<_> = tickets.iter().map(running).collect();
        let pause = |index: usize| match tickets[index].turn(PACE, &group(200), &listed, at(60)) {
            Turn::Wait(_, seconds) => seconds,
            other => panic!("{other:?}"),
        };
        assert_eq!((pause(20), pause(60), pause(199)), (30, 90, 270));
    }

    #[test]
    fn a_ticket_that_is_handed_over_keeps_its_place() {
        let mine = ticket(0, 100);
        let next = format!("{}-{}", mine.next_name(), mine.instance);
        assert_eq!(queued_at(&next), queued_at(&mine.name));
        assert_ne!(next, mine.name);
        assert_eq!(instance_named(&next), Some(mine.instance.as_str()));
    }

    #[test]
    fn names_are_short_enough_for_step_functions() {
        let uuid = "12345678-1234-1234-1234-123456789012";
        let name = ticket_name(at(0), Some(uuid));
        assert_eq!(name, format!("turn-1796040000-{uuid}"));
        assert_eq!(ticket_name(at(0), None), "turn-1796040000");
        let long = ticket_name(at(0), Some(&"x".repeat(99)));
        assert_eq!(long.len(), 60);
        let ticket = Ticket {
            name: format!("{long}-{}", instance(0)),
            ..ticket(0, 0)
        };
        assert!(
            ticket.drain_name().len() <= 61,
            "leave- is one character longer than turn-"
        );
    }
}
