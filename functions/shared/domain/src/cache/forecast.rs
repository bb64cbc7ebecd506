//! What a drain of a worker would save, how long that would take, and what could not be saved.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Need, Progress, Verdict};
use crate::error::Result;
use crate::plan::Plan;

/// The rate at which the last drains saved files.
#[allow(async_fn_in_trait)]
pub trait RateMemory {
    /// The rate that was seen last; none where none was seen yet.
    async fn last_rate(&self, namespace: &str) -> Result<Option<Rate>>;
    /// Notes a rate.
    async fn note_rate(&self, namespace: &str, rate: &Rate) -> Result<()>;
}

/// How fast files were saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Files, each of which costs a moment.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds for all of them.
    pub seconds: u64,
    /// When it was seen.
    pub seen_at: Timestamp,
}

impl Rate {
    /// The rate of a drain that has saved something; none where it has not.
    #[must_use]
    pub fn of(progress: &Progress) -> Option<Self> {
        let totals = &progress.totals;
        let seen_at = progress.saved_at?;
        let seconds = seen_at.duration_since(progress.saving_since?).as_secs();
        let files = totals.persisted_files + totals.replicated_files;
        (files > 0).then(|| Self {
            files,
            bytes: totals.persisted_bytes + totals.replicated_bytes,
            seconds: u64::try_from(seconds).unwrap_or_default().max(1),
            seen_at,
        })
    }

    /// Seconds for so many files of so many bytes: as long as the files would take, or the bytes.
    fn seconds(&self, amount: Amount) -> u64 {
        let share = |amount: u64, seen: u64| {
            let seconds = u128::from(amount) * u128::from(self.seconds);
            u64::try_from(seconds.div_ceil(u128::from(seen.max(1)))).unwrap_or(u64::MAX)
        };
        // A drain that saved only empty files says nothing of bytes.
        let bytes = if self.bytes == 0 {
            0
        } else {
            share(amount.bytes, self.bytes)
        };
        // Few large files say little of many small ones, and the other way round: the longer of both is nearer.
        share(amount.files, self.files).max(bytes)
    }
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Amount {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    pub(crate) const fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What a look through the files found, carried from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Found {
    persist: Amount,
    copy: Amount,
    being_written: Amount,
    broken: Amount,
}

impl Found {
    /// Notes a file of that length.
    pub fn note(&mut self, length: u64, verdict: &Verdict) {
        match verdict.need {
            _ if verdict.broken.is_some() => self.broken.add(length),
            Need::Nothing => {}
            Need::Persist => self.persist.add(verdict.bytes),
            Need::Copy => self.copy.add(verdict.bytes),
            Need::Completion => self.being_written.add(verdict.bytes),
        }
    }
}

/// The other workers, and what was seen before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Other workers in service.
    pub other_workers: usize,
    /// Bytes that are free on them.
    pub free_bytes: u64,
    /// The rate seen last.
    pub rate: Option<Rate>,
    /// Seconds until the worker's clients have a new list of workers.
    pub refresh_seconds: u32,
}

/// What a drain would come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Would be written to the under store.
    pub persisted: Amount,
    /// Would be copied to other workers.
    pub replicated: Amount,
    /// Could not be saved as things are: lost if the instance went all the same.
    pub lost: Amount,
    /// Were broken before: some of their blocks are on no worker in service and in no under store.
    pub broken: Amount,
    /// How long it would take at the rate seen last, with the wait for the worker's clients; none where no rate was seen.
    pub seconds: Option<u64>,
    /// That rate.
    pub rate: Option<Rate>,
}

/// Forecasts a drain by what was found on its worker.
#[must_use]
pub fn forecast(found: &Found, surroundings: Surroundings) -> (Forecast, Plan) {
    let mut plan = Plan::default();
    let mut lost = found.being_written;
    if lost.files > 0 {
        plan = plan.hindered(format!(
            "{} files ({} bytes) are still being written",
            lost.files, lost.bytes
        ));
    }
    let mut replicated = found.copy;
    if replicated.files > 0 && surroundings.other_workers == 0 {
        plan = plan.hindered(format!(
            "{} files ({} bytes) can only be copied, and no other worker is in service",
            replicated.files, replicated.bytes
        ));
        lost.files += replicated.files;
        lost.bytes += replicated.bytes;
        replicated = Amount::default();
    } else if replicated.bytes > surroundings.free_bytes {
        plan = plan.hindered(format!(
            "{} bytes must be copied, and only {} are free on {} other workers: they would have to give cached data up",
            replicated.bytes, surroundings.free_bytes, surroundings.other_workers
        ));
    }
    let persisted = found.persist;
    if persisted.files > 0 {
        plan = plan.doing(format!(
            "persist {} files ({} bytes)",
            persisted.files, persisted.bytes
        ));
    }
    if replicated.files > 0 {
        plan = plan.doing(format!(
            "copy {} files ({} bytes) to other workers",
            replicated.files, replicated.bytes
        ));
    }
    if found.broken.files > 0 {
        plan = plan.doing(format!(
            "name {} files ({} bytes) that were broken before: parts of them are on no worker in service and in no under store",
            found.broken.files, found.broken.bytes
        ));
    }
    let both = Amount {
        files: persisted.files + replicated.files,
        bytes: persisted.bytes + replicated.bytes,
    };
    let refresh = u64::from(surroundings.refresh_seconds);
    let seconds = match &surroundings.rate {
        _ if both.files == 0 => Some(refresh),
        Some(rate) => Some(rate.seconds(both).saturating_add(refresh)),
        None => None,
    };
    plan = plan.doing("take its worker out of service, and wait for its clients");
    let forecast = Forecast {
        persisted,
        replicated,
        lost,
        broken: found.broken,
        seconds,
        rate: surroundings.rate,
    };
    (forecast, plan)
}

#[cfg(test)]
mod tests {
    use super::super::{Broken, Pending};
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn verdict(bytes: u64, need: Need) -> Verdict {
        Verdict {
            need,
            bytes,
            only_here: bytes,
            broken: None,
            without_copy: 0,
        }
    }

    fn found(files: &[(u64, Need)]) -> Found {
        let mut found = Found::default();
        for (bytes, need) in files {
            found.note(*bytes, &verdict(*bytes, *need));
        }
        found
    }

    fn with_room(free_bytes: u64) -> Surroundings {
        Surroundings {
            other_workers: 2,
            free_bytes,
            rate: Some(Rate {
                files: 100,
                bytes: 10 * GB,
                seconds: 50,
                seen_at: Timestamp::UNIX_EPOCH,
            }),
            refresh_seconds: 120,
        }
    }

    #[test]
    fn what_would_be_persisted_and_copied_is_counted_and_timed_by_the_rate_seen_last() {
        let found = found(&[(4 * GB, Need::Persist), (GB, Need::Copy), (GB, Need::Nothing)]);
        let (forecast, plan) = forecast(&found, with_room(GB));
        assert_eq!(
            forecast.persisted,
            Amount {
                files: 1,
                bytes: 4 * GB
            }
        );
        assert_eq!(forecast.replicated, Amount { files: 1, bytes: GB });
        assert_eq!(forecast.lost, Amount::default());
        assert_eq!(forecast.seconds, Some(25 + 120));
        assert!(plan.in_the_way.is_empty(), "{plan:?}");
        assert_eq!(plan.would[0], "persist 1 files (4000000000 bytes)");
    }

    #[test]
    fn many_small_files_take_as_long_as_so_many_files_took() {
        let small: Vec<_> = (0..1_000).map(|_| (1, Need::Persist)).collect();
        let (forecast, _) = forecast(&found(&small), with_room(0));
        assert_eq!(forecast.seconds, Some(500 + 120));
    }

    #[test]
    fn without_a_rate_there_is_no_duration_but_for_nothing() {
        let unknown = Surroundings {
            rate: None,
            ..with_room(0)
        };
        let (some, _) = forecast(&found(&[(1, Need::Persist)]), unknown.clone());
        assert_eq!(some.seconds, None);
        let (nothing, _) = forecast(&Found::default(), unknown);
        assert_eq!(nothing.seconds, Some(120));
    }

    #[test]
    fn broken_files_are_counted_apart() {
        let mut found = found(&[(5, Need::Copy)]);
        let broken = Verdict {
            broken: Some(Broken {
                lost_blocks: 1,
                blocks: 2,
            }),
            ..verdict(10, Need::Copy)
        };
        found.note(20, &broken);
        let (forecast, plan) = forecast(&found, with_room(GB));
        assert_eq!(forecast.replicated, Amount { files: 1, bytes: 5 });
        assert_eq!(forecast.broken, Amount { files: 1, bytes: 20 });
        assert_eq!(forecast.lost, Amount::default());
        assert!(plan.in_the_way.is_empty(), "{plan:?}");
    }

    #[test]
    fn copies_that_fit_nowhere_are_in_the_way_and_lost_where_there_is_no_other_worker() {
        let copy = found(&[(5, Need::Copy)]);
        let (tight, plan) = forecast(&copy, with_room(4));
        assert!(plan.in_the_way[0].contains("only 4 are free"), "{plan:?}");
        assert_eq!((tight.replicated.files, tight.lost.files), (1, 0));
        let alone = Surroundings {
            other_workers: 0,
            ..with_room(0)
        };
        let (alone, plan) = forecast(&copy, alone);
        assert!(plan.in_the_way[0].contains("no other worker"), "{plan:?}");
        assert_eq!((alone.replicated.files, alone.lost.files), (0, 1));
    }

    #[test]
    fn a_file_that_is_still_being_written_is_told() {
        let (forecast, plan) = forecast(&found(&[(5, Need::Completion)]), with_room(0));
        assert_eq!(forecast.lost, Amount { files: 1, bytes: 5 });
        assert!(plan.in_the_way[0].contains("still being written"));
    }

    #[test]
    fn the_rate_is_that_from_the_first_file_asked_for_to_the_last_one_saved() {
        let second = |second| Timestamp::from_second(second).expect("in range");
        let pending = |asked_at, bytes| Pending {
            path: "/a".to_owned(),
            bytes,
            asked_at,
            ..Pending::default()
        };
        let mut progress = Progress::default();
        assert_eq!(Rate::of(&progress), None);
        progress.asked(pending(second(10), 4));
        assert_eq!(Rate::of(&progress), None);
        progress.saved(&pending(second(10), 4), true, second(12));
        progress.saved(&pending(second(11), 2), true, second(15));
        let rate = Rate::of(&progress).expect("a rate");
        assert_eq!((rate.files, rate.bytes, rate.seconds), (2, 6, 5));
        assert_eq!(rate.seen_at, second(15));
    }
}
