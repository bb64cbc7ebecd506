//! In which order files are saved when the time may not be enough for all.
//!
//! A file is saved whole or not at all, and each costs a moment however small it is. So bytes saved for a second spent
//! rise with the size: **the largest file that can still be finished goes first**. As it is also the largest of all that
//! fit, what this order saves is never less than half of what the best choice could save in hindsight, and nearly all of
//! it where no file is a large part of the whole (the tests measure both, and other orders). A file that can probably not
//! be finished any more goes after all that can, the smallest of those first, since the rate is only an estimate. A file
//! with a copy on another worker is not lost with this one, and goes last.
//!
//! Files that are written at once share what the under store takes. So no more is asked for at a time than could be
//! finished at the rate of a single one: a dozen large files side by side might all be cut off.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Pending;

/// When the end is nearer than this, the order counts: the two minutes of a Spot interruption warning.
const NEAR: SignedDuration = SignedDuration::from_secs(120);
/// What is kept of the time before an instance is taken away: to see what could not be saved, and to take its worker out
/// of service, so that no client waits for one that is gone.
const LAST_MOMENT: SignedDuration = SignedDuration::from_secs(8);
/// So many files are asked for at a time: enough for the ten threads of a job worker between two looks a second apart.
/// Alluxio takes those that wait in no particular order.
const MOST_AT_A_TIME: usize = 64;

/// So many files are remembered at a time; more than can be asked for in two minutes, at some hundred bytes each.
pub const MOST_WAITING: usize = 4_096;
/// So many of them are carried from call to call, until the files have been looked through again.
pub const MOST_CARRIED: usize = 48;
/// What a file costs beside its bytes: to be scheduled, picked up by a job worker, and seen to be there.
const SECONDS_A_FILE: u64 = 3;

/// A file whose turn has not come yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it is lost with this worker; else every block has a copy elsewhere.
    pub at_stake: bool,
}

/// How much time is left, and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurry {
    /// Seconds until the end.
    pub seconds_left: u64,
    /// The rate at which one file is written.
    pub bytes_per_second: u64,
}

impl Hurry {
    /// Whether a file of that length can be finished in time.
    #[must_use]
    pub const fn fits(&self, bytes: u64) -> bool {
        let seconds = self.seconds_left.saturating_sub(SECONDS_A_FILE);
        bytes <= seconds.saturating_mul(self.bytes_per_second)
    }

    /// The smallest goes first.
    const fn rank(&self, file: &Waiting) -> (bool, bool, Reverse<u64>, u64) {
        let fits = self.fits(file.bytes);
        let (largest, smallest) = if fits { (file.bytes, 0) } else { (0, file.bytes) };
        (!file.at_stake, !fits, Reverse(largest), smallest)
    }
}

/// Whether the order in which files are saved counts: not after the deadline, when a drain that holds on has all the time
/// that its hook leaves it.
#[must_use]
pub fn near(deadline: Timestamp, now: Timestamp) -> bool {
    now < deadline && deadline.duration_since(now) <= NEAR
}

/// When an instance that is taken away at the deadline is left.
#[must_use]
pub fn last_moment(deadline: Timestamp) -> Timestamp {
    deadline - LAST_MOMENT
}

/// Takes the file out whose turn it is, beside those that are being written; none where those are enough.
pub fn next_turn(waiting: &mut Vec<Waiting>, hurry: &Hurry, pending: &[Pending]) -> Option<Waiting> {
    if pending.len() >= MOST_AT_A_TIME {
        return None;
    }
    // What is copied to other workers takes nothing from the under store.
    let persisted = || pending.iter().filter(|pending| !pending.copy);
    let under_way: u64 = persisted().map(|pending| pending.bytes).sum();
    let none = persisted().next().is_none();
    let beside = |file: &Waiting| none || hurry.fits(under_way.saturating_add(file.bytes));
    let ranked = waiting.iter().enumerate().filter(|(_, file)| beside(file));
    let (next, _) = ranked.min_by_key(|(place, file)| (hurry.rank(file), *place))?;
    Some(waiting.remove(next))
}

/// Takes the file out whose turn comes last of those that would be lost.
pub fn last_turn(waiting: &mut Vec<Waiting>, hurry: &Hurry) -> Option<Waiting> {
    let at_stake = waiting.iter().enumerate().filter(|(_, file)| file.at_stake);
    let (last, _) = at_stake.max_by_key(|(_, file)| hurry.rank(file))?;
    Some(waiting.remove(last))
}

/// Forgets those whose turn would come last, where there are too many. They are found again by the next look through the
/// files.
pub fn prune(waiting: &mut Vec<Waiting>, hurry: &Hurry, most: usize) {
    if waiting.len() > most {
        waiting.sort_by_key(|file| hurry.rank(file));
        waiting.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(bytes: u64) -> Waiting {
        Waiting {
            path: format!("/{bytes}"),
            bytes,
            at_stake: true,
        }
    }

    fn order(files: &[Waiting], hurry: Hurry) -> Vec<u64> {
        let mut waiting = files.to_vec();
        std::iter::from_fn(|| next_turn(&mut waiting, &hurry, &[]))
            .map(|file| file.bytes)
            .collect()
    }

    const MINUTE: Hurry = Hurry {
        seconds_left: 63,
        bytes_per_second: 10,
    };

    #[test]
    fn the_largest_that_can_be_finished_goes_first() {
        let files = [file(5), file(600), file(70)];
        assert_eq!(order(&files, MINUTE), [600, 70, 5]);
    }

    #[test]
    fn what_can_hardly_be_finished_goes_after_all_that_can_and_the_least_hopeless_first() {
        let files = [file(9_000), file(601), file(5), file(700)];
        assert_eq!(order(&files, MINUTE), [5, 601, 700, 9_000]);
    }

    #[test]
    fn as_time_runs_out_the_turn_passes_to_smaller_files() {
        let mut waiting = vec![file(600), file(50), file(20)];
        let hurry = |seconds_left| Hurry {
            seconds_left,
            ..MINUTE
        };
        let next =
            |waiting: &mut Vec<_>, seconds| next_turn(waiting, &hurry(seconds), &[]).map(|file| file.bytes);
        assert_eq!(next(&mut waiting, 10), Some(50));
        assert_eq!(next(&mut waiting, 5), Some(20));
        assert_eq!(next(&mut waiting, 1), Some(600));
        assert_eq!(next(&mut waiting, 1), None);
    }

    #[test]
    fn a_file_with_a_copy_elsewhere_goes_last_however_large_it_is() {
        let elsewhere = Waiting {
            at_stake: false,
            ..file(500)
        };
        assert_eq!(order(&[elsewhere, file(1), file(9_000)], MINUTE), [1, 9_000, 500]);
    }

    fn pending(bytes: u64) -> Pending {
        Pending {
            path: "/pending".to_owned(),
            bytes,
            asked_at: Timestamp::UNIX_EPOCH,
            ..Pending::default()
        }
    }

    #[test]
    fn beside_those_that_are_being_written_go_as_many_as_can_be_finished_with_them() {
        let mut waiting = vec![file(300), file(200), file(9_000)];
        let mut next = |pending: &[Pending]| next_turn(&mut waiting, &MINUTE, pending).map(|file| file.bytes);
        assert_eq!(next(&[pending(350)]), Some(200));
        assert_eq!(next(&[pending(350), pending(200)]), None);
        assert_eq!(next(&[pending(300)]), Some(300));
        assert_eq!(next(&[pending(1)]), None);
        assert_eq!(next(&[]), Some(9_000), "alone, it may turn out to be faster");
    }

    #[test]
    fn copies_take_no_time_from_what_is_persisted() {
        let copy = Pending {
            copy: true,
            ..pending(9_000)
        };
        let next = next_turn(&mut vec![file(300)], &MINUTE, &[pending(1), copy]);
        assert_eq!(next.map(|file| file.bytes), Some(300));
    }

    #[test]
    fn the_last_turn_is_that_of_a_file_that_would_be_lost() {
        let elsewhere = Waiting {
            at_stake: false,
            ..file(5)
        };
        let mut waiting = vec![file(70), elsewhere, file(9_000), file(600)];
        let mut last = || last_turn(&mut waiting, &MINUTE).map(|file| file.bytes);
        assert_eq!(
            [last(), last(), last(), last()],
            [Some(9_000), Some(70), Some(600), None]
        );
    }

    #[test]
    fn so_many_are_asked_for_at_a_time_and_no_more() {
        let mut waiting = vec![file(0); 100];
        let mut under_way = Vec::new();
        while let Some(file) = next_turn(&mut waiting, &MINUTE, &under_way) {
            under_way.push(pending(file.bytes));
        }
        assert_eq!(under_way.len(), MOST_AT_A_TIME);
    }

    #[test]
    fn the_order_counts_in_the_last_two_minutes_and_the_last_moment_is_for_leaving() {
        let at = |second| Timestamp::from_second(second).expect("valid");
        assert!(!near(at(1_000), at(879)));
        assert!(near(at(1_000), at(880)) && near(at(1_000), at(999)));
        assert!(!near(at(1_000), at(1_000)));
        assert_eq!(last_moment(at(1_000)), at(992));
    }

    #[test]
    fn of_too_many_those_are_kept_whose_turn_is_next() {
        let mut waiting = vec![file(5), file(9_000), file(600), file(70)];
        prune(&mut waiting, &MINUTE, 2);
        assert_eq!(order(&waiting, MINUTE), [600, 70]);
    }

    /// What is saved of files in that order, one after the other: each costs its moment and its bytes, and what the end
    /// cuts off is lost.
    fn saved(
        mut files: Vec<Waiting>,
        hurry: Hurry,
        next: fn(&mut Vec<Waiting>, &Hurry) -> Option<Waiting>,
    ) -> u64 {
        let mut milliseconds_left = hurry.seconds_left * 1_000;
        let mut saved = 0;
        loop {
            let now = Hurry {
                seconds_left: milliseconds_left / 1_000,
                ..hurry
            };
            let Some(file) = next(&mut files, &now) else {
                return saved;
            };
            let cost = milliseconds(file.bytes, hurry);
            if cost <= milliseconds_left {
                saved += file.bytes;
            }
            milliseconds_left = milliseconds_left.saturating_sub(cost);
        }
    }

    fn milliseconds(bytes: u64, hurry: Hurry) -> u64 {
        SECONDS_A_FILE * 1_000 + bytes * 1_000 / hurry.bytes_per_second
    }

    /// The most that any choice could save.
    fn best(files: &[Waiting], hurry: Hurry) -> u64 {
        let choices = 0..1_u32 << files.len();
        let bytes = |choice: u32| {
            let chosen = files
                .iter()
                .enumerate()
                .filter(move |(at, _)| choice >> at & 1 == 1);
            chosen.map(|(_, file)| file.bytes)
        };
        choices
            .filter(|choice| {
                let costs = bytes(*choice).map(|bytes| milliseconds(bytes, hurry));
                costs.sum::<u64>() <= hurry.seconds_left * 1_000
            })
            .map(|choice| bytes(choice).sum())
            .max()
            .unwrap_or_default()
    }

    fn in_turn(files: &mut Vec<Waiting>, hurry: &Hurry) -> Option<Waiting> {
        next_turn(files, hurry, &[])
    }

    fn as_listed(files: &mut Vec<Waiting>, _: &Hurry) -> Option<Waiting> {
        (!files.is_empty()).then(|| files.remove(0))
    }

    fn smallest_first(files: &mut Vec<Waiting>, _: &Hurry) -> Option<Waiting> {
        let smallest = files.iter().enumerate().min_by_key(|(_, file)| file.bytes)?.0;
        Some(files.remove(smallest))
    }

    fn largest_first(files: &mut Vec<Waiting>, _: &Hurry) -> Option<Waiting> {
        let largest = files.iter().enumerate().max_by_key(|(_, file)| file.bytes)?.0;
        Some(files.remove(largest))
    }

    /// 300 caches of twelve files between 1 MiB and 4 GiB, small ones more often, and the two minutes of a Spot warning.
    #[test]
    fn this_order_saves_more_than_others_and_nearly_as_much_as_hindsight() {
        let hurry = Hurry {
            seconds_left: 110,
            bytes_per_second: 25 * MIB,
        };
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let [mut ours, mut listed, mut smallest, mut largest, mut hindsight] = [0_u64; 5];
        for _ in 0..300 {
            let files: Vec<_> = (0..12)
                .map(|_| {
                    let magnitude = random(13);
                    file((MIB << magnitude) + random(MIB << magnitude))
                })
                .collect();
            let most = best(&files, hurry);
            let this = saved(files.clone(), hurry, in_turn);
            assert!(this * 2 >= most, "{this} of {most}: {files:?}");
            ours += this;
            hindsight += most;
            listed += saved(files.clone(), hurry, as_listed);
            smallest += saved(files.clone(), hurry, smallest_first);
            largest += saved(files, hurry, largest_first);
        }
        let percent = |saved: u64| saved * 100 / hindsight;
        let measured = [ours, listed, smallest, largest].map(percent);
        assert!(measured[0] >= 95, "{measured:?}");
        assert!(
            measured[1..].iter().all(|other| other + 5 <= measured[0]),
            "{measured:?}"
        );
    }
}
