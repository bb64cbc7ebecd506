//! Where a drain of a worker stands. All of it is read from the world anew in every call; what is carried from
//! call to call ([`Progress`]) only saves work and counts: without it the same end is reached.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::carried::{fit, json_bytes, mark, shortened};
use super::{Flow, Found, Hurry, LastLook, Losses, PageSize, Waiting, WorkerFilePage, WorkerLoad};

/// So many passes in a row must find nothing before the worker is taken out of service.
pub const CLEAN_PASSES: u32 = 2;
/// So many looks in a row must find the worker idle before it is taken away.
const IDLE_LOOKS: u32 = 3;
/// A copy is asked for again after this, and the time that writing it may take. Alluxio drops a request that it cannot
/// serve without a word, and one that it has served costs nothing.
const COPY_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// A slow under store still writes so many bytes a second.
pub(super) const SLOW_STORE_BYTES_PER_SECOND: u64 = 10_000_000;
/// A file of less tells nothing of the rate at which bytes are written: what is around it takes longer.
pub(super) const TELLING_BYTES: u64 = 16 << 20;
/// So many files are being persisted or copied at a time, however small: enough to keep every job worker busy.
pub const MOST_PENDING: usize = 128;
/// Bytes of JSON that files under way may take between two calls. What does not fit is found again by the next pass: the
/// master says of a file that it is to be persisted.
const MOST_PENDING_BYTES: usize = 48 * 1024;
/// The same of the files whose turn has not come yet.
const MOST_WAITING_BYTES: usize = 16 * 1024;
/// What an entry of either takes beside its path.
const ENTRY_BYTES: usize = 160;
/// So many files are remembered that were copied because they could not be persisted.
const MOST_GIVEN_WAY: usize = 512;
/// So many calls follow one another at once while something is being saved; an execution holds 25,000 events, a round of
/// this branch of a drain makes 16, and the branch beside it needs a third of them in two days.
const MOST_EAGER_CALLS: u32 = 300;
/// So many paths are named in an answer; all are counted.
pub const MOST_NAMED: usize = 20;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    /// Files that reached the under store.
    pub persisted_files: u64,
    /// Their bytes.
    pub persisted_bytes: u64,
    /// Files that got their copy on another worker.
    pub replicated_files: u64,
    /// Their bytes.
    pub replicated_bytes: u64,
}

/// A file that was asked to be persisted or copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// A copy on another worker was asked.
    pub copy: bool,
    /// Blocks that have no copy on another worker even then.
    #[serde(default)]
    pub without_copy: u64,
    /// How often it was asked again.
    #[serde(default)]
    pub times: u32,
    /// That copy is asked because persisting the file keeps failing.
    #[serde(default)]
    pub instead: bool,
    /// It was to be persisted already when this execution met it.
    #[serde(default)]
    pub adopted: bool,
}

impl Pending {
    /// Whether this execution has not asked for it, so that it may have no job.
    #[must_use]
    pub const fn unasked(&self) -> bool {
        self.adopted && self.times == 0 && !self.copy
    }

    /// Whether to ask for a copy again.
    #[must_use]
    pub fn copy_overdue(&self, now: Timestamp) -> bool {
        let writing = i64::try_from(self.bytes / SLOW_STORE_BYTES_PER_SECOND).unwrap_or(i64::MAX / 4);
        let first = COPY_AGAIN + SignedDuration::from_secs(writing.min(i64::MAX / 4));
        let seconds = first.as_secs().saturating_mul(1 << self.times.min(8));
        self.copy && now.duration_since(self.asked_at) >= SignedDuration::from_secs(seconds)
    }
}

/// One look through all files of a worker, page by page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pass {
    /// How many files have been looked at.
    pub offset: u64,
    /// How many there were at the last page.
    pub total: u64,
    /// Files that the worker could not name.
    pub unnamed_files: u64,
    /// Files that need something before the worker may go.
    pub unsafe_files: u64,
    /// Their bytes.
    pub unsafe_bytes: u64,
    /// The first of them, each with what it needs.
    pub named: Vec<String>,
    /// Files that are safe only by their copies on other workers, as persisting them kept failing.
    pub copied_files: u64,
    /// Files that were broken before this drain. They are no reason to stay.
    pub broken: Losses,
}

impl Pass {
    /// Notes a page. Files that went away move those behind them forward, past the offset: it steps back by as many,
    /// so that none is skipped.
    pub fn page(&mut self, page: &WorkerFilePage) {
        let gone = if self.offset == 0 {
            0
        } else {
            self.total.saturating_sub(page.total)
        };
        self.offset = (self.offset + page.looked).saturating_sub(gone);
        self.total = page.total;
        self.unnamed_files += page.looked.saturating_sub(page.files.len() as u64);
        self.broken.tidy();
    }

    /// Whether every file has been looked at; the page is the last one noted.
    #[must_use]
    pub const fn complete(&self, page: &WorkerFilePage) -> bool {
        page.looked == 0 || self.offset >= self.total
    }

    /// Notes a file that needs something.
    pub fn needs(&mut self, path: &str, bytes: u64, what: &str) {
        self.unsafe_files += 1;
        self.unsafe_bytes += bytes;
        if self.named.len() < MOST_NAMED {
            let path = shortened(path);
            self.named.push(format!("{path} ({bytes} bytes: {what})"));
        }
    }

    /// Adds to a file that is named why no copy of it is made.
    pub fn refused(&mut self, path: &str, why: &str) {
        let begins = format!("{} (", shortened(path));
        let named = self.named.iter_mut().find(|named| named.starts_with(&begins));
        if let Some(named) = named.filter(|named| !named.contains(why)) {
            *named = format!("{}: {why})", named.trim_end_matches(')'));
        }
    }

    /// Whether nothing needs anything, as far as the files have names.
    #[must_use]
    pub const fn clean(&self) -> bool {
        self.unsafe_files == 0
    }
}

/// What is carried from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// Clean passes in a row.
    pub clean_passes: u32,
    /// The pass that the last call did not end.
    pub pass: Option<Pass>,
    /// What was asked and is not there yet.
    pub pending: Vec<Pending>,
    /// What has been saved so far.
    pub totals: Totals,
    /// The worker is out of service, and its clients were done when the pass began: if that pass is clean, the drain
    /// is at its end.
    pub clients_done: bool,
    /// They were held for done only because the worker never looked idle for so long.
    pub idle_limit_reached: bool,
    /// In a hurry: files whose turn has not come yet, the next ones first.
    pub waiting: Vec<Waiting>,
    /// The highest rate at which a file of some size was seen to be written.
    pub bytes_per_second: Option<u64>,
    /// When the first file was asked for.
    pub saving_since: Option<Timestamp>,
    /// When the last one was seen to be safe.
    pub saved_at: Option<Timestamp>,
    /// What the last look through all files found.
    pub last_look: LastLook,
    /// For a plan: what was found so far.
    pub found: Option<Found>,
    /// How much is asked for at a time.
    pub flow: Flow,
    /// Files of the next page.
    pub page: PageSize,
    /// Marks of files that were copied because persisting them kept failing: they are safe with that.
    given_way: Vec<u64>,
    /// Calls so far.
    calls: u32,
    /// What the last whole pass saw: files and bytes that need something, files without a name; files saved until then.
    seen: [u64; 4],
    /// Whole passes in a row that saw the same.
    unchanged: u32,
    /// When this execution took the worker out of service, for where no Node object can hold that.
    pub decommissioned_at: Option<Timestamp>,
}

impl Progress {
    /// How much hurry there is.
    #[must_use]
    pub fn hurry(&self, deadline: Timestamp, now: Timestamp) -> Hurry {
        Hurry {
            seconds_left: u64::try_from(deadline.duration_since(now).as_secs()).unwrap_or_default(),
            bytes_per_second: self.bytes_per_second.unwrap_or(SLOW_STORE_BYTES_PER_SECOND),
        }
    }

    /// Notes that the worker has gone out of service: all passes before that count for nothing now.
    pub fn decommissioned(&mut self) {
        self.clean_passes = 0;
        self.pass = None;
        self.clients_done = false;
        self.idle_limit_reached = false;
    }

    /// Notes the end of a pass through a worker in service; answers whether it may be taken out of service. Deleted
    /// files vanish from the list of such a worker within seconds, so one without a name may be any file.
    pub fn passed(&mut self, pass: &Pass) -> bool {
        let clean = pass.clean() && pass.unnamed_files == 0;
        self.clean_passes = if clean { self.clean_passes + 1 } else { 0 };
        self.clean_passes >= CLEAN_PASSES
    }

    /// Notes that a file has been asked for.
    pub fn asked(&mut self, pending: Pending) {
        let now = pending.asked_at;
        self.saving_since.get_or_insert(now);
        self.pending.push(pending);
        self.flow.asked(&self.pending, now);
    }

    /// Notes that a file that was under way is where it should be: in the under store, or copied.
    pub fn saved(&mut self, pending: &Pending, persisted: bool, now: Timestamp) {
        self.saved_at = Some(now);
        self.flow.saved(pending, persisted, now);
        if persisted && pending.bytes >= TELLING_BYTES {
            let seconds = u64::try_from(now.duration_since(pending.asked_at).as_secs()).unwrap_or_default();
            let rate = pending.bytes / seconds.max(1);
            self.bytes_per_second = Some(self.bytes_per_second.unwrap_or_default().max(rate));
        }
        if persisted {
            self.totals.persisted_files += 1;
            self.totals.persisted_bytes += pending.bytes;
        } else {
            self.totals.replicated_files += 1;
            self.totals.replicated_bytes += pending.bytes;
        }
    }

    const fn saved_files(&self) -> u64 {
        self.totals.persisted_files + self.totals.replicated_files
    }

    /// Notes that a file is copied, as persisting it keeps failing.
    pub fn give_way(&mut self, path: &str) {
        let mark = mark(path);
        if !self.given_way.contains(&mark) {
            if self.given_way.len() >= MOST_GIVEN_WAY {
                self.given_way.remove(0);
            }
            self.given_way.push(mark);
        }
    }

    /// Whether a copy of that file on other workers is enough: persisting it keeps failing, or all that is persisted does.
    #[must_use]
    pub fn gave_way(&self, path: &str) -> bool {
        self.flow.fails() || self.given_way.contains(&mark(path))
    }

    /// Notes the end of a whole pass; answers whether it saw anything else than the last one.
    pub fn ended(&mut self, pass: &Pass, now: Timestamp) -> bool {
        if pass.unsafe_files < self.seen[0] {
            self.flow.moved(now);
        }
        let saved = self.saved_files();
        let seen = [pass.unsafe_files, pass.unsafe_bytes, pass.unnamed_files, saved];
        let changed = self.seen != seen;
        self.seen = seen;
        self.unchanged = if changed { 0 } else { self.unchanged + 1 };
        changed
    }

    /// Notes the end of a call that began with so many files saved; answers whether the next one is to follow at once: a
    /// pass goes on, or files become safe, and it is not all as it was in the last pass.
    pub fn called(&mut self, saved_before: Totals) -> bool {
        self.calls += 1;
        let moved = self.totals != saved_before;
        let busy =
            moved || self.pass.is_some() && (self.unchanged == 0 || self.saved_files() != self.seen[3]);
        busy && self.calls <= MOST_EAGER_CALLS
    }

    /// Leaves out what has no room in the data of an execution.
    pub fn lighten(&mut self) {
        lighten(&mut self.pending);
        fit(&mut self.waiting, MOST_WAITING_BYTES, |waiting| {
            json_bytes(&waiting.path) + ENTRY_BYTES
        });
    }
}

/// Leaves out those that have no room in the data of an execution.
pub fn lighten(pending: &mut Vec<Pending>) {
    fit(pending, MOST_PENDING_BYTES, |pending| {
        json_bytes(&pending.path) + ENTRY_BYTES
    });
}

/// The wait for the clients of a worker that is out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleWait {
    /// Seconds until clients have a new list of workers (`alluxio.user.worker.list.refresh.interval`): before that
    /// a client may still come with a new read or write.
    pub refresh_seconds: u32,
    /// Seconds after which a worker that never looks idle goes all the same: its count of reads stays too high for
    /// ever after a client has cancelled one.
    pub limit_seconds: u32,
}

/// What the wait for idle clients says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Go on waiting.
    NotYet,
    /// Nobody uses it.
    Idle,
    /// It never looked idle, and has had its time.
    LimitReached,
}

impl IdleWait {
    /// The same where the instance is taken away at that time, whatever its clients do: they get what is left.
    #[must_use]
    pub fn until(self, decommissioned_at: Timestamp, end: Timestamp) -> Self {
        let left = u32::try_from(end.duration_since(decommissioned_at).as_secs()).unwrap_or_default();
        Self {
            refresh_seconds: self.refresh_seconds.min(left),
            limit_seconds: self.limit_seconds.min(left),
        }
    }

    /// Judges by the looks of this call (newest last). A look without an answer proves nothing: a worker that writes to
    /// full disks answers late.
    #[must_use]
    pub fn judge(&self, decommissioned_at: Timestamp, looks: &[Option<WorkerLoad>], now: Timestamp) -> Idle {
        let since = now.duration_since(decommissioned_at);
        let refreshed = since >= SignedDuration::from_secs(self.refresh_seconds.into());
        let needed = IDLE_LOOKS as usize;
        let quiet = looks.len() >= needed
            && looks
                .iter()
                .rev()
                .take(needed)
                .all(|look| look.is_some_and(|load| load.idle()));
        if refreshed && quiet {
            Idle::Idle
        } else if since >= SignedDuration::from_secs(self.limit_seconds.max(self.refresh_seconds).into()) {
            Idle::LimitReached
        } else {
            Idle::NotYet
        }
    }
}

#[cfg(test)]
mod tests;
