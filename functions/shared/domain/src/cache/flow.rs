//! How much is asked for at a time, and when saving has come to a halt.
//!
//! To ask Alluxio 2.9 again to persist a file makes it begin anew, while the job of before runs on and takes its share of
//! the under store's rate (`handleReady` of its `PersistenceScheduler`). So a file is not asked for again because it takes
//! long, however slow the under store is: only when nothing at all has become safe for longer than everything that is
//! under way should take. And then for one file, the smallest: if the under store was only slow, little is lost.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Pending;
use super::drain::{MOST_PENDING, TELLING_BYTES};

/// Before anything is known of the under store, so many files are asked for at once, however large: more than the ten
/// threads of a job worker (`alluxio.job.worker.threadpool.size`).
const FIRST_FILES: usize = 16;
/// Or files of so many bytes together.
const FIRST_BYTES: u64 = 256 << 20;
/// As much as is saved in this time may always be under way. It covers what a file costs beside its bytes, a few seconds,
/// and can be finished in the last two minutes before a deadline.
const SECONDS_UNDER_WAY: u64 = 60;
/// Nothing has to become safe for at least so long before saving has come to a halt.
const QUIET: SignedDuration = SignedDuration::from_secs(60);
/// The wait doubles from halt to halt up to this: Alluxio itself tries a failed job again after up to an hour, and the under
/// store may be back long before.
const LONGEST_QUIET: SignedDuration = SignedDuration::from_secs(240);
/// Or up to what the smallest file takes at so many bytes a second. Were it less, files that take longer would be begun
/// anew again and again, and none would ever arrive.
const SLOWEST_BYTES_PER_SECOND: u64 = 100_000;
/// Before a rate was seen, an under store is taken for as slow as this many bytes a second.
const UNSEEN_BYTES_PER_SECOND: u64 = 2_000_000;
/// But not for longer, where as many files are under way as are asked for at first: to begin one of them anew costs little
/// beside all of them.
const LONGEST_UNSEEN_SECONDS: u64 = 1_800;
/// A file that is to be persisted, and that this execution has not asked for, becomes safe within this time, or one of them
/// is asked for early. It is what a small file takes, so that a Spot interruption's two minutes are not spent waiting.
const UNASKED_LIMIT: SignedDuration = SignedDuration::from_secs(5);
/// After so many halts in a row, with nothing persisted between them, a way of saving counts as failing.
const HALTS_THAT_FAIL: u32 = 2;

/// What the last turn did to the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    /// The window has become larger.
    #[default]
    Grew,
    /// It has become smaller.
    Shrank,
}

/// Whether Alluxio gets on with files that are to be persisted, and that this execution has not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Unasked {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// One of them was asked for early, to see whether it is safe before the others.
    Tried,
    /// One became safe unasked.
    Move,
    /// They have no jobs: one that was asked for at last became safe before the others.
    Stay,
}

/// The window of bytes that may be under way at a time, and what it goes by. It is turned over once when as many bytes
/// have become safe as were under way; then the rate of this turn is compared with that of the last. The window grows
/// while the rate grows with it, and shrinks while the rate is none the worse for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Flow {
    /// Bytes that may be under way beside the largest file; none before the first turn has ended.
    window: Option<u64>,
    /// Bytes a second in the last turn.
    rate: Option<u64>,
    /// The same in the last turn whose files were large enough to tell how fast bytes are written.
    byte_rate: Option<u64>,
    step: Step,
    /// When this turn began.
    turn_since: Option<Timestamp>,
    /// The most bytes that were under way in it.
    turn_most: u64,
    /// Bytes that have become safe in it.
    turn_saved: u64,
    /// Files that have.
    turn_files: u64,
    /// Whether a copy was among them: those say nothing of the under store.
    turn_copied: bool,
    /// Whether a file was kept from being asked for in it.
    held_back: bool,
    /// When a file became safe, or was asked for while none was under way, or saving came to a halt.
    moved_at: Option<Timestamp>,
    /// How often saving has come to a halt since a file was persisted.
    halts: u32,
    /// What is known of files that are to be persisted unasked.
    unasked: Unasked,
}

impl Flow {
    /// Whether one more file may be asked for beside those under way. The largest of all does not count, as files are
    /// saved whole or not at all.
    pub fn room(&mut self, pending: &[Pending], bytes: u64) -> bool {
        let largest = pending.iter().map(|pending| pending.bytes).max();
        let beside = under_way(pending)
            .saturating_add(bytes)
            .saturating_sub(largest.unwrap_or_default().max(bytes));
        let fits = match self.window {
            Some(window) => beside <= window,
            None => pending.len() < FIRST_FILES || beside <= FIRST_BYTES,
        };
        let room = fits && pending.len() < MOST_PENDING;
        self.held_back |= !room;
        room
    }

    /// Notes that a file has been asked for; it is the last one of those under way.
    pub(crate) fn asked(&mut self, pending: &[Pending], now: Timestamp) {
        self.turn_since.get_or_insert(now);
        self.turn_most = self.turn_most.max(under_way(pending));
        if pending.len() == 1 {
            self.moved_at = Some(now);
        }
    }

    /// Notes that a file has become safe.
    pub(crate) fn saved(&mut self, file: &Pending, persisted: bool, now: Timestamp) {
        let bytes = file.bytes;
        self.moved_at = Some(now);
        if persisted {
            self.halts = 0;
        }
        if persisted && file.unasked() {
            self.unasked = Unasked::Move;
        }
        self.turn_copied |= !persisted;
        self.turn_saved = self.turn_saved.saturating_add(bytes);
        self.turn_files += 1;
        if self.turn_saved >= self.turn_most.max(1) {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Timestamp) {
        let since = self.turn_since.unwrap_or(now);
        let seconds = u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default();
        let rate = self.turn_saved / seconds.max(1);
        let window = self.window.unwrap_or(self.turn_most);
        let better = self.rate.is_none_or(|before| rate > before + before / 10);
        let worse = self.rate.is_some_and(|before| rate < before - before / 10);
        // Of small files their number is the bound, and their bytes say little.
        let telling = self.turn_saved / self.turn_files.max(1) >= TELLING_BYTES;
        let (step, window) = match self.step {
            step if !self.held_back || !telling => (step, window),
            Step::Grew if better => (Step::Grew, window.saturating_mul(2)),
            Step::Shrank if worse => (Step::Grew, window.saturating_mul(2)),
            Step::Grew | Step::Shrank => (Step::Shrank, window.min(self.turn_most) / 4 * 3),
        };
        if telling && !self.turn_copied {
            self.byte_rate = Some(rate);
        }
        *self = Self {
            window: Some(window.max(rate.saturating_mul(SECONDS_UNDER_WAY))),
            rate: Some(rate),
            byte_rate: self.byte_rate,
            step,
            turn_since: Some(now),
            moved_at: self.moved_at,
            halts: self.halts,
            unasked: self.unasked,
            ..Self::default()
        };
    }

    /// Whether a file is only waited for. `persisting`: Alluxio is to persist it already, and such files are not known to
    /// have no jobs.
    #[must_use]
    pub fn adopts(&self, persisting: bool) -> bool {
        persisting && self.unasked != Unasked::Stay
    }

    /// Those files that are asked for again. `tried` was asked for again before, and is safe: what it has overtaken has no
    /// job. Where Alluxio may be waiting for a command, one file gets it early.
    pub fn again(
        &mut self,
        pending: &[Pending],
        tried: Option<&Pending>,
        awaits_command: bool,
        now: Timestamp,
    ) -> Vec<usize> {
        let mut again = tried.map_or_else(Vec::new, |tried| self.overtaken(pending, tried, now));
        if awaits_command {
            again.extend(self.early(pending, now));
        }
        again
    }

    /// The file that is asked for early, once, where Alluxio may be waiting for a command: the smallest. Should it have a
    /// job, little is lost.
    fn early(&mut self, pending: &[Pending], now: Timestamp) -> Option<usize> {
        if self.unasked != Unasked::Unknown {
            return None;
        }
        let unasked = || pending.iter().enumerate().filter(|(_, file)| file.unasked());
        let since = unasked().map(|(_, file)| file.asked_at).min()?;
        let (index, _) = unasked().min_by_key(|(_, file)| file.bytes)?;
        (now.duration_since(since) >= UNASKED_LIMIT).then(|| {
            self.unasked = Unasked::Tried;
            index
        })
    }

    /// Those files that are asked for again as that one is safe, which was asked for later than they.
    fn overtaken(&mut self, pending: &[Pending], by: &Pending, now: Timestamp) -> Vec<usize> {
        let all = pending.iter().enumerate();
        let overtaken: Vec<_> = all.filter(|(_, file)| overtaken(file, by, now)).collect();
        if overtaken.iter().any(|(_, file)| file.unasked()) {
            self.unasked = Unasked::Stay;
        }
        overtaken.into_iter().map(|(index, _)| index).collect()
    }

    /// How long nothing may become safe before saving has come to a halt: twice what all that is under way takes at the
    /// rate seen. Before one was seen, what it takes at that of a very slow under store, and longer where few files are
    /// under way: to begin one of them anew costs more then.
    fn patience(&self, pending: &[Pending]) -> SignedDuration {
        let bytes = under_way(pending);
        let writing = if let Some(rate) = self.byte_rate {
            bytes.saturating_mul(2) / rate.max(1)
        } else {
            let few = (FIRST_FILES / pending.len().max(1)).max(1) as u64;
            (bytes / UNSEEN_BYTES_PER_SECOND).min(LONGEST_UNSEEN_SECONDS) * few
        };
        let writing = i64::try_from(writing).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let first = QUIET + SignedDuration::from_secs(writing);
        let doubled = SignedDuration::from_secs(first.as_secs().saturating_mul(1 << self.halts.min(16)));
        let smallest = pending.iter().map(|pending| pending.bytes).min();
        let slowest = smallest.unwrap_or_default() / SLOWEST_BYTES_PER_SECOND;
        let slowest = SignedDuration::from_secs(i64::try_from(slowest).unwrap_or(i64::MAX / 4));
        doubled.min(first.max(LONGEST_QUIET).max(slowest))
    }

    /// Whether saving has come to a halt.
    #[must_use]
    pub fn halted(&self, pending: &[Pending], now: Timestamp) -> bool {
        let quiet = |since| now.duration_since(since) >= self.patience(pending);
        !pending.is_empty() && self.moved_at.is_some_and(quiet)
    }

    /// Notes that something became safe that was not waited for.
    pub fn moved(&mut self, now: Timestamp) {
        self.moved_at = Some(now);
    }

    /// Notes a halt: what is done about it gets its time, and then more of it.
    pub fn halt(&mut self, now: Timestamp) {
        self.halts += 1;
        self.moved_at = Some(now);
    }

    /// Whether persisting keeps failing, so that the other way of saving is to be tried.
    #[must_use]
    pub const fn fails(&self) -> bool {
        self.halts >= HALTS_THAT_FAIL
    }

    /// Seconds until it is worth looking at what is under way again: a master is not asked each second while nothing moves.
    #[must_use]
    pub fn seconds_between_looks(&self, now: Timestamp) -> u64 {
        let quiet = self.moved_at.map_or(0, |at| now.duration_since(at).as_secs());
        u64::try_from(quiet / 20).unwrap_or_default().clamp(1, 5)
    }
}

fn under_way(pending: &[Pending]) -> u64 {
    pending
        .iter()
        .fold(0, |sum, pending| sum.saturating_add(pending.bytes))
}

/// The file that is asked for again when saving has come to a halt: the smallest of those that were asked for least often.
#[must_use]
pub fn probe(pending: &[Pending]) -> Option<usize> {
    let persists = |pending: &Pending| !pending.copy || pending.instead;
    let persisted = pending
        .iter()
        .enumerate()
        .filter(|(_, pending)| persists(pending));
    let (index, _) = persisted.min_by_key(|(_, pending)| (pending.times, pending.bytes))?;
    Some(index)
}

/// Whether a file has no job: another that was asked for later, after a halt, is safe, and this one has had longer than it
/// took, for its own size. One that this execution has asked for had a job; that it has failed and waits for Alluxio to try
/// again is less likely, and takes twice the time.
fn overtaken(pending: &Pending, by: &Pending, now: Timestamp) -> bool {
    if pending.copy || by.times == 0 || pending.asked_at >= by.asked_at {
        return false;
    }
    let took = |file: &Pending| now.duration_since(file.asked_at).as_secs().max(1);
    let size = i64::try_from(pending.bytes / by.bytes.max(TELLING_BYTES)).unwrap_or(i64::MAX);
    let times = if pending.unasked() { 1 } else { 2 };
    took(pending) >= took(by).saturating_mul(times).saturating_mul(size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn file(bytes: u64, asked_at: i64) -> Pending {
        Pending {
            bytes,
            asked_at: at(asked_at),
            ..Pending::default()
        }
    }

    /// Asks for files of that size as long as there is room.
    fn fill(flow: &mut Flow, pending: &mut Vec<Pending>, bytes: u64, now: i64) {
        while flow.room(pending, bytes) {
            pending.push(file(bytes, now));
            flow.asked(pending, at(now));
        }
    }

    /// Turns with files of that size, each written by a stream of its own of at most that rate, all together within the
    /// other; answers how many were under way in each turn.
    fn turns(bytes: u64, stream: u64, store: u64, count: usize) -> Vec<usize> {
        let (mut flow, mut pending, mut now) = (Flow::default(), Vec::new(), 0);
        let mut widths = Vec::new();
        for _ in 0..count {
            fill(&mut flow, &mut pending, bytes, now);
            widths.push(pending.len());
            let rate = stream.min(store / pending.len() as u64);
            now += i64::try_from(bytes / rate).expect("seconds");
            for file in std::mem::take(&mut pending) {
                flow.saved(&file, true, at(now));
            }
        }
        widths
    }

    #[test]
    fn the_window_grows_while_the_rate_grows() {
        let widths = turns(10_000 * MB, 10 * MB, 1_000 * MB, 4);
        assert_eq!(widths[0], FIRST_FILES);
        assert!(widths[2] > 2 * FIRST_FILES, "{widths:?}");
        assert!(widths[3] > widths[2], "{widths:?}");
    }

    #[test]
    fn the_window_shrinks_while_the_rate_does_not() {
        let widths = turns(10_000 * MB, 10 * MB, 10 * MB, 16);
        assert!(*widths.last().expect("some") <= 3, "{widths:?}");
    }

    #[test]
    fn the_window_stays_near_where_more_helps_no_more() {
        let widths = turns(10_000 * MB, 10 * MB, 400 * MB, 40);
        let late = &widths[10..];
        let mean = late.iter().sum::<usize>() / late.len();
        assert!((40..=80).contains(&mean), "{late:?}");
        assert!(late.iter().all(|width| *width >= 20), "{late:?}");
    }

    #[test]
    fn what_is_under_way_is_bounded_in_bytes_and_in_files() {
        let (mut flow, mut pending) = (Flow::default(), Vec::new());
        fill(&mut flow, &mut pending, 1, 0);
        assert_eq!(pending.len(), MOST_PENDING);
        for (now, file) in pending.drain(..).enumerate() {
            flow.saved(&file, true, at(i64::try_from(now).expect("few")));
        }
        fill(&mut flow, &mut pending, 1_000 * MB, 200);
        assert_eq!(pending.len(), 1, "a small rate was seen");
    }

    #[test]
    fn a_large_file_keeps_small_ones_from_nothing() {
        let mut flow = Flow {
            window: Some(10 * MB),
            ..Flow::default()
        };
        let mut pending = vec![file(100_000 * MB, 0)];
        fill(&mut flow, &mut pending, MB, 0);
        assert_eq!(pending.len(), 1 + 10);
    }

    #[test]
    fn a_slow_store_gets_the_time_that_all_bytes_take() {
        let flow = Flow {
            byte_rate: Some(2 * MB),
            moved_at: Some(at(0)),
            ..Flow::default()
        };
        let pending = vec![file(40 * MB, 0); 12];
        assert!(!flow.halted(&pending, at(60 + 479)));
        assert!(flow.halted(&pending, at(60 + 480)));
        assert!(!flow.halted(&[], at(10_000)), "nothing is under way");
    }

    #[test]
    fn a_single_large_file_is_given_longer_before_it_begins_anew() {
        let flow = Flow {
            moved_at: Some(at(0)),
            ..Flow::default()
        };
        assert!(!flow.halted(&[file(10_000 * MB, 0)], at(10_000)));
        assert!(flow.halted(&[file(10_000 * MB, 0)], at(60 + 28_800)));
    }

    #[test]
    fn each_halt_is_given_twice_the_time_up_to_a_bound() {
        let mut flow = Flow {
            moved_at: Some(at(0)),
            ..Flow::default()
        };
        let pending = [file(1, 0)];
        let mut halts = Vec::new();
        for second in 0..1_000 {
            if flow.halted(&pending, at(second)) {
                flow.halt(at(second));
                halts.push(second);
            }
        }
        assert_eq!(halts[..5], [60, 180, 420, 660, 900]);
        assert!(flow.fails());
        flow.saved(&file(1, 0), true, at(3_000));
        assert!(!flow.fails());
    }

    #[test]
    fn the_wait_between_halts_suffices_for_the_slowest_store() {
        let mut flow = Flow::default();
        for _ in 0..20 {
            flow.halt(at(0));
        }
        let patience = flow.patience(&[file(4_000 * MB, 0), file(900 * MB, 0)]);
        assert_eq!(
            patience,
            SignedDuration::from_secs(14_460),
            "what both take, and longer"
        );
        let patience = flow.patience(&vec![file(900 * MB, 0); 16]);
        assert_eq!(patience, SignedDuration::from_secs(9_000));
    }

    #[test]
    fn copies_that_arrive_do_not_say_that_persisting_works() {
        let mut flow = Flow::default();
        flow.halt(at(0));
        flow.halt(at(1));
        flow.saved(&file(1, 0), false, at(2));
        assert!(flow.fails());
    }

    #[test]
    fn the_smallest_file_is_asked_for_again_and_then_the_next() {
        let copy = Pending {
            copy: true,
            ..file(0, 0)
        };
        let again = Pending {
            times: 1,
            ..file(1, 0)
        };
        assert_eq!(probe(&[file(7, 0), again, copy.clone(), file(5, 0)]), Some(3));
        assert_eq!(probe(&[copy]), None);
    }

    #[test]
    fn only_a_file_that_had_far_more_time_counts_as_overtaken() {
        let probed = |asked_at| Pending {
            times: 1,
            ..file(40 * MB, asked_at)
        };
        let old = file(40 * MB, 0);
        assert!(overtaken(&old, &probed(100), at(120)));
        assert!(!overtaken(&old, &probed(100), at(300)), "it may only be slow");
        assert!(
            !overtaken(&file(4_000 * MB, 0), &probed(100), at(120)),
            "it is larger"
        );
        assert!(
            !overtaken(&old, &file(40 * MB, 100), at(120)),
            "nothing had halted"
        );
    }

    fn unasked(bytes: u64, seen_at: i64) -> Pending {
        Pending {
            adopted: true,
            ..file(bytes, seen_at)
        }
    }

    #[test]
    fn one_of_those_nobody_asked_for_is_tried_early() {
        let mut flow = Flow::default();
        let mut pending = [file(1, 0), unasked(7, 0), unasked(5, 3)];
        assert_eq!(flow.early(&pending, at(4)), None);
        assert_eq!(flow.early(&pending, at(5)), Some(2));
        assert_eq!(flow.early(&pending, at(100)), None, "once");
        pending[2].times = 1;
        pending[2].asked_at = at(5);
        let [asked, other, tried] = pending;
        assert_eq!(flow.overtaken(&[asked, other], &tried, at(8)), [0, 1]);
        assert!(!flow.adopts(true));
    }

    #[test]
    fn what_alluxio_gets_on_with_is_not_tried() {
        let mut flow = Flow::default();
        flow.saved(&unasked(7, 0), true, at(2));
        assert_eq!(flow.early(&[unasked(7, 0)], at(100)), None);
        assert!(flow.adopts(true) && !flow.adopts(false));
    }

    #[test]
    fn the_master_is_asked_more_rarely_while_nothing_moves() {
        let flow = Flow {
            moved_at: Some(at(0)),
            ..Flow::default()
        };
        let seconds = [0, 39, 40, 60, 1_000].map(|now| flow.seconds_between_looks(at(now)));
        assert_eq!(seconds, [1, 1, 2, 3, 5]);
    }
}
