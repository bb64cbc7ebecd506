//! What a check tells: as JSON, and as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::choose::Choice;
use super::judge::Unseen;
use super::memory::Told;

/// Findings that are told one by one. Everything together must fit the 256 KiB of an execution's output; all are
/// counted.
const MOST_TOLD: usize = 100;
/// New findings that the outcome event and the log line tell.
const MOST_NEW: usize = 20;
/// Characters of a text that somebody else may have written.
const LONGEST_TEXT: usize = 300;
/// What lasts longer is one that the check does not get repaired.
const STAYS_SECONDS: i64 = 1_800;

/// A finding and what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its kind.
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// Since when.
    pub since: Timestamp,
    /// In how many checks.
    pub checks: u32,
    /// What would set it right.
    pub repair: String,
    /// What was done, or why nothing was.
    pub done: String,
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Set right, or begun to be: how.
    Done(String),
    /// Nothing was done: why.
    Left(String),
    /// It was tried: what came of it.
    Failed(String),
    /// There is nothing to set right: why.
    Unneeded(String),
}

impl From<Choice> for Talk {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Repair => Self::Failed("no time was left in this check".into()),
            Choice::Not(why) => Self::Left(why),
            Choice::Unneeded(why) => Self::Unneeded(why),
        }
    }
}

/// What a check tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was to be changed.
    pub plan: bool,
    /// How much differs.
    pub found: usize,
    /// How much of it was repaired, or is now being repaired.
    pub repaired: usize,
    /// Of how much the repair failed in this check.
    pub failed: usize,
    /// How much has lasted for more than half an hour.
    pub unrepaired: usize,
    /// How much there is of each kind.
    pub counts: BTreeMap<&'static str, usize>,
    /// What could not be seen, and what was not judged for it.
    pub unseen: Vec<BTreeMap<&'static str, String>>,
    /// What this check saw first.
    pub new: Vec<Row>,
    /// What differs, the most urgent first.
    pub findings: Vec<Row>,
    /// What looks as if it differed, and is as it should be.
    pub notes: Vec<Row>,
    /// The same to read.
    pub table: String,
}

impl Report {
    /// Brings together what was found and what was done.
    #[must_use]
    pub fn of(plan: bool, told: &[Told], talks: &[Talk], unseen: &[Unseen], now: Timestamp) -> Self {
        let mut report = Self {
            plan,
            unseen: unseen.iter().map(blind).collect(),
            ..Self::default()
        };
        let mut rows = Vec::with_capacity(told.len());
        let mut notes = Vec::new();
        for (told, talk) in told.iter().zip(talks) {
            let kind = told.finding.kind;
            if let Talk::Unneeded(why) = talk {
                notes.push((kind, told.is_new(), row(told, why)));
                continue;
            }
            report.found += 1;
            *report.counts.entry(kind.as_str()).or_default() += 1;
            let done = match talk {
                Talk::Done(how) => {
                    report.repaired += 1;
                    how
                }
                Talk::Failed(what) => {
                    report.failed += 1;
                    what
                }
                Talk::Left(why) | Talk::Unneeded(why) => why,
            };
            if !kind.is_event() && told.age_seconds(now) > STAYS_SECONDS && !matches!(talk, Talk::Done(_)) {
                report.unrepaired += 1;
            }
            rows.push((kind, told.is_new(), row(told, done)));
        }
        rows.sort_by(|(a, _, left), (b, _, right)| (a, left.since).cmp(&(b, right.since)));
        let new = rows.iter().chain(&notes).filter(|(_, new, _)| *new);
        report.new = new.take(MOST_NEW).map(|(_, _, row)| row.clone()).collect();
        report.findings = rows.into_iter().take(MOST_TOLD).map(|(_, _, row)| row).collect();
        let left = MOST_TOLD - report.findings.len();
        report.notes = notes.into_iter().take(left).map(|(_, _, row)| row).collect();
        report.table = report.table();
        report
    }

    /// One sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut text = match self.found {
            0 if self.unseen.is_empty() => "nothing differs from what should be".to_owned(),
            0 => "nothing differs in what could be seen".to_owned(),
            found => {
                let counts: Vec<_> = self
                    .counts
                    .iter()
                    .map(|(kind, count)| format!("{count} {kind}"))
                    .collect();
                format!(
                    "{found} found ({}), {} repaired, {} lasting for more than half an hour",
                    counts.join(", "),
                    self.repaired,
                    self.unrepaired
                )
            }
        };
        if self.plan {
            text.push_str("; a plan: nothing was changed");
        }
        if !self.unseen.is_empty() {
            let whats: Vec<_> = self.unseen.iter().map(|unseen| unseen["what"].as_str()).collect();
            let _ = write!(text, "; not seen: {}", whats.join(", "));
        }
        text
    }

    fn table(&self) -> String {
        let mut table = String::from(
            "| kind | about | since | checks | seen | done |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for row in self.findings.iter().chain(&self.notes) {
            let cell = |text: &str| text.replace('|', "/");
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} |",
                row.kind,
                cell(&row.subject),
                row.since.strftime("%Y-%m-%dT%H:%M:%SZ"),
                row.checks,
                cell(&row.seen),
                cell(&row.done)
            );
        }
        if self.found > self.findings.len() {
            let _ = writeln!(table, "\n{} more, see counts", self.found - self.findings.len());
        }
        for unseen in &self.unseen {
            let _ = writeln!(table, "\nnot seen: {} ({})", unseen["what"], unseen["why"]);
        }
        table
    }
}

fn row(told: &Told, done: &str) -> Row {
    Row {
        kind: told.finding.kind.as_str(),
        subject: short(&told.finding.subject),
        seen: short(&told.finding.seen),
        since: told.since,
        checks: told.checks,
        repair: short(&told.finding.repair.to_string()),
        done: short(done),
    }
}

fn blind(unseen: &Unseen) -> BTreeMap<&'static str, String> {
    let kinds: Vec<_> = unseen.kinds.iter().map(|kind| kind.as_str()).collect();
    BTreeMap::from([
        ("what", unseen.what.to_owned()),
        ("why", short(&unseen.why)),
        ("notJudged", kinds.join(", ")),
    ])
}

/// One line of a bounded length.
fn short(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_TEXT)
        .collect();
    if text.chars().count() > LONGEST_TEXT {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Kind;
    use crate::drift::fixtures::{at, finding};

    fn told(kind: Kind, subject: &str, since: i64, checks: u32) -> Told {
        Told {
            finding: finding(kind, subject),
            since: at(since),
            checks,
        }
    }

    fn report(told: &[Told], talk: &Talk) -> Report {
        Report::of(false, told, &vec![talk.clone(); told.len()], &[], at(10_000))
    }

    #[test]
    fn nothing_differs_is_said_so() {
        assert_eq!(
            report(&[], &Talk::Left(String::new())).reason(),
            "nothing differs from what should be"
        );
    }

    #[test]
    fn what_differs_is_counted_by_kind_and_the_most_urgent_comes_first() {
        let told = [
            told(Kind::VolumeOrphaned, "pv-1", 9_990, 1),
            told(Kind::DrainStalled, "i-1", 9_990, 1),
            told(Kind::VolumeOrphaned, "pv-0", 9_980, 1),
        ];
        let report = report(&told, &Talk::Done("done".into()));
        let subjects: Vec<_> = report.findings.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["i-1", "pv-0", "pv-1"]);
        assert_eq!(
            report.counts,
            BTreeMap::from([("drain-stalled", 1), ("volume-orphaned", 2)])
        );
        assert!(
            report
                .reason()
                .starts_with("3 found (1 drain-stalled, 2 volume-orphaned), 3 repaired")
        );
    }

    #[test]
    fn only_what_this_check_saw_first_is_new() {
        let told = [
            told(Kind::DrainStalled, "i-1", 9_990, 1),
            told(Kind::DrainStalled, "i-2", 0, 7),
        ];
        let report = report(&told, &Talk::Left("budget".into()));
        assert_eq!(report.new.len(), 1);
        assert_eq!(report.new[0].subject, "i-1");
    }

    #[test]
    fn what_lasts_for_more_than_half_an_hour_and_is_not_repaired_now_stays_unrepaired() {
        let told = [
            told(Kind::DrainStalled, "i-1", 8_199, 5),
            told(Kind::DrainStalled, "i-2", 8_201, 5),
            told(Kind::ExecutionFailed, "arn", 0, 1),
        ];
        assert_eq!(report(&told, &Talk::Left("budget".into())).unrepaired, 1);
        assert_eq!(report(&told, &Talk::Failed("refused".into())).unrepaired, 1);
        assert_eq!(report(&told, &Talk::Done("started".into())).unrepaired, 0);
    }

    #[test]
    fn however_much_differs_the_report_fits_into_the_output_of_an_execution() {
        let long = "x".repeat(10_000);
        let told: Vec<_> = (0..5_000)
            .map(|index| {
                let mut told = told(Kind::NodeIncomplete, &format!("i-{index}"), 0, 1);
                told.finding.seen.clone_from(&long);
                told
            })
            .collect();
        let report = report(&told, &Talk::Left(long));
        assert_eq!((report.found, report.findings.len()), (5_000, MOST_TOLD));
        let size = serde_json::to_string(&report).expect("JSON").len();
        assert!(size < 200_000, "{size} bytes");
        assert!(report.table.contains("4900 more"));
    }

    #[test]
    fn what_could_not_be_seen_is_told_with_what_was_not_judged() {
        let unseen = Unseen {
            what: "workers",
            why: "no master answers".into(),
            kinds: vec![Kind::WorkerUnseen],
        };
        let report = Report::of(false, &[], &[], &[unseen], at(0));
        assert_eq!(report.unseen[0]["notJudged"], "worker-unseen");
        assert_eq!(
            report.reason(),
            "nothing differs in what could be seen; not seen: workers"
        );
        assert!(report.table.contains("not seen: workers (no master answers)"));
    }

    #[test]
    fn a_table_has_a_line_for_each_finding_whatever_is_in_its_texts() {
        let mut told = told(Kind::RuleDisabled, "a|b", 0, 1);
        told.finding.seen = "line\nbreak".into();
        let report = report(&[told], &Talk::Done("enabled".into()));
        assert_eq!(report.table.lines().count(), 3, "{}", report.table);
        assert!(report.table.contains("| a/b |"), "{}", report.table);
    }

    #[test]
    fn what_needs_no_repair_is_told_once() {
        let unneeded = Talk::Unneeded("a person keeps it".into());
        let first = report(&[told(Kind::DrainedInService, "i-1", 9_990, 1)], &unneeded);
        let later = report(&[told(Kind::DrainedInService, "i-1", 0, 7)], &unneeded);
        assert_eq!((first.new.len(), later.new.len()), (1, 0));
        for report in [first, later] {
            assert_eq!(
                (report.found, report.unrepaired, report.findings.len()),
                (0, 0, 0)
            );
            assert_eq!(report.notes[0].done, "a person keeps it");
            assert!(report.table.contains("a person keeps it"), "{}", report.table);
        }
    }
}
