//! What was found before: the same drift is told once and then counted.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::choose::Looks;
use super::finding::Finding;
use super::judge::Judgement;
use super::kind::Kind;

/// What is kept from one check to the next, at most. It travels in the output of an execution, which holds 256 KiB.
const MOST_KNOWN: usize = 800;

/// What a check leaves for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// When the last check looked.
    pub checked_at: Option<Timestamp>,
    /// What it found, or had found before and could not judge again.
    pub known: Vec<Known>,
    /// The kinds that it could not judge.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_judged: BTreeSet<String>,
}

/// A finding that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Its kind's name.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// When it was first seen, or since when the world says that it lasts.
    pub since: Timestamp,
    /// In how many checks it was seen.
    pub checks: u32,
}

/// A finding with what is remembered of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The finding.
    pub finding: Finding,
    /// Since when it lasts.
    pub since: Timestamp,
    /// In how many checks it was seen, this one included.
    pub checks: u32,
}

impl Told {
    /// Whether this check is the first that saw it.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.checks <= 1
    }

    /// How long it has lasted, in seconds.
    #[must_use]
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.duration_since(self.since).as_secs().max(0)
    }
}

impl Memory {
    /// Brings what was found together with what is remembered; answers both.
    #[must_use]
    pub fn with(&self, judgement: Judgement, now: Timestamp) -> (Vec<Told>, Self) {
        let key = |kind: &str, subject: &str| (kind.to_owned(), subject.to_owned());
        let mut known: HashMap<_, &Known> = self
            .known
            .iter()
            .map(|known| (key(&known.kind, &known.subject), known))
            .collect();
        let told: Vec<_> = judgement
            .findings
            .into_iter()
            .map(|finding| {
                let before = known.remove(&key(finding.kind.as_str(), &finding.subject));
                let seen = [finding.since, before.map(|known| known.since), Some(now)];
                Told {
                    since: seen.into_iter().flatten().min().unwrap_or(now),
                    checks: before.map_or(0, |known| known.checks).saturating_add(1),
                    finding,
                }
            })
            .collect();
        let found = told
            .iter()
            .filter(|told| !told.finding.kind.is_event())
            .map(|told| Known {
                kind: told.finding.kind.as_str().to_owned(),
                subject: told.finding.subject.clone(),
                since: told.since,
                checks: told.checks,
            });
        // Nobody has looked at these again: they are as they were.
        let unjudged = known.into_values().filter(|known| {
            Kind::parse(&known.kind).is_some_and(|kind| !judgement.judged.contains(&kind) && !kind.is_event())
        });
        let mut next: Vec<_> = found.chain(unjudged.cloned()).collect();
        // What has lasted longest is what must not be forgotten.
        next.sort_by(|a, b| (a.since, &a.kind, &a.subject).cmp(&(b.since, &b.kind, &b.subject)));
        next.truncate(MOST_KNOWN);
        let memory = Self {
            checked_at: Some(now),
            known: next,
            not_judged: Kind::ALL
                .iter()
                .filter(|kind| !judgement.judged.contains(kind))
                .map(|kind| kind.as_str().to_owned())
                .collect(),
        };
        (told, memory)
    }

    /// When this check looks, and when the last one did that could judge the instances that wait.
    #[must_use]
    pub fn looks(&self, now: Timestamp) -> Looks {
        let blind = Kind::ALL
            .iter()
            .any(|kind| kind.waits_already() && self.not_judged.contains(kind.as_str()));
        Looks {
            before: self.checked_at.filter(|_| !blind),
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::fixtures::{at, finding};

    fn judgement(findings: Vec<Finding>) -> Judgement {
        Judgement {
            findings,
            judged: Kind::ALL.iter().copied().collect(),
            unseen: Vec::new(),
        }
    }

    #[test]
    fn what_is_seen_for_the_first_time_is_new_and_lasts_since_now() {
        let (told, memory) =
            Memory::default().with(judgement(vec![finding(Kind::DrainStalled, "i-1")]), at(10));
        assert!(told[0].is_new());
        assert_eq!(told[0].since, at(10));
        assert_eq!(memory.checked_at, Some(at(10)));
    }

    #[test]
    fn what_is_seen_again_is_counted_and_lasts_since_it_was_first_seen() {
        let found = || judgement(vec![finding(Kind::DrainStalled, "i-1")]);
        let (_, memory) = Memory::default().with(found(), at(10));
        let (told, memory) = memory.with(found(), at(20));
        assert!(!told[0].is_new());
        assert_eq!((told[0].since, told[0].checks), (at(10), 2));
        assert_eq!(memory.known[0].checks, 2);
    }

    #[test]
    fn where_the_world_says_since_when_that_counts() {
        let mut known = finding(Kind::CordonOrphaned, "i-1");
        known.since = Some(at(3));
        let (told, _) = Memory::default().with(judgement(vec![known]), at(10));
        assert_eq!((told[0].since, told[0].age_seconds(at(10))), (at(3), 7));
    }

    #[test]
    fn what_is_not_found_again_is_forgotten() {
        let (_, memory) = Memory::default().with(judgement(vec![finding(Kind::DrainStalled, "i-1")]), at(10));
        let (_, memory) = memory.with(judgement(Vec::new()), at(20));
        assert!(memory.known.is_empty());
    }

    #[test]
    fn what_could_not_be_judged_is_remembered_as_it_was() {
        let (_, memory) = Memory::default().with(judgement(vec![finding(Kind::WorkerUnseen, "i-1")]), at(10));
        let (told, memory) = memory.with(Judgement::default(), at(20));
        assert!(told.is_empty());
        assert_eq!((memory.known[0].since, memory.known[0].checks), (at(10), 1));
    }

    #[test]
    fn what_happened_once_is_not_remembered() {
        let (told, memory) =
            Memory::default().with(judgement(vec![finding(Kind::ExecutionFailed, "arn")]), at(10));
        assert_eq!(told.len(), 1);
        assert!(memory.known.is_empty());
    }

    #[test]
    fn of_too_much_the_oldest_is_remembered() {
        let findings = (0..MOST_KNOWN + 10)
            .map(|index| {
                let mut finding = finding(Kind::NodeIncomplete, &format!("i-{index}"));
                finding.since = Some(at(1_000 - i64::try_from(index).expect("small")));
                finding
            })
            .collect();
        let (_, memory) = Memory::default().with(judgement(findings), at(2_000));
        assert_eq!(memory.known.len(), MOST_KNOWN);
        assert_eq!(memory.known[0].subject, format!("i-{}", MOST_KNOWN + 9));
        let size = serde_json::to_string(&memory).expect("JSON").len();
        assert!(size < 120_000, "{size} bytes");
    }
}
