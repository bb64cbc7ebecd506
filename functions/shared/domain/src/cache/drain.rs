//! Where a drain of a worker stands. All of it is read from the world anew in every call; what is carried from
//! call to call ([`Progress`]) only saves work and counts: without it the same end is reached.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Worker, WorkerFilePage, WorkerLoad, WorkerState};
use crate::node::{Node, Pod};

/// So many passes in a row must find nothing before the worker is taken out of service.
pub const CLEAN_PASSES: u32 = 2;
/// So many looks in a row must find the worker idle before it is taken away.
const IDLE_LOOKS: u32 = 3;
/// A file that was asked to be persisted is asked for again after this, and the time that writing it may take.
/// Alluxio itself tries a failed job again after up to an hour, which may be long after the under store is back;
/// but asking again while the job runs starts it from zero.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// A slow under store still writes so many bytes a second for one file.
const SLOW_STORE_BYTES_PER_SECOND: u64 = 10_000_000;
/// So many files are being persisted or copied at a time. Enough to keep every job worker busy, and a bound on what
/// is carried from call to call (an execution's data may not exceed 256 KiB).
pub const MOST_PENDING: usize = 128;
/// So many bytes of paths are named in an answer, all are counted: beside what else is carried from call to call, and
/// within what an event on the bus may hold (256 KiB).
const MOST_NAMED_BYTES: usize = 32 * 1024;

/// What the next step of a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is nothing to save, and why.
    Absent(String),
    /// The worker cannot be reached, but may come back with what it holds.
    AwaitWorker(String),
    /// It is in service: look through its files, save what exists nowhere else.
    Save(Worker),
    /// It is out of service: look through its files once more, wait until its clients are done.
    LookAgain(Worker),
}

/// Reads the phase off the world.
///
/// A worker that the master does not know, or has lost, is waited for while its pod stands: its container is
/// started again with the same disks. Where the pod is gone its volumes went with it; the master remembers such a
/// worker for a while. On a node that never opened (the startup taint stands) an unknown worker
/// has never been in service, so nothing can be on it.
#[must_use]
pub fn next_phase(node: &Node, host: &str, worker: Option<Worker>, pod: Option<&Pod>) -> Phase {
    let ending = pod.is_some_and(|pod| pod.deletion_time.is_some());
    let pod = pod.filter(|_| !ending);
    match (worker, pod) {
        (Some(worker), _) if worker.state == WorkerState::Live => Phase::Save(worker),
        (Some(worker), pod) if worker.state != WorkerState::Lost && (pod.is_some() || ending) => {
            Phase::LookAgain(worker)
        }
        (Some(_), Some(pod)) => Phase::AwaitWorker(format!(
            "Alluxio has lost worker {host}; pod {} stands and may bring it back",
            pod.full_name()
        )),
        (None, Some(pod)) if !node.startup_taint => Phase::AwaitWorker(format!(
            "Alluxio knows no worker {host}; pod {} stands and may bring it back",
            pod.full_name()
        )),
        (Some(_), None) => Phase::Absent(format!(
            "Alluxio has lost worker {host} and its pod is gone: nothing can be read from it"
        )),
        (None, None) => Phase::Absent(format!("node {} has no Alluxio worker", node.name)),
        (None, Some(_)) => Phase::Absent(format!(
            "node {} never opened, and its worker never registered",
            node.name
        )),
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Pending {
    /// Whether to give up waiting for what was asked, and to ask again.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> bool {
        let writing = i64::try_from(self.bytes / SLOW_STORE_BYTES_PER_SECOND).unwrap_or(i64::MAX / 2);
        now.duration_since(self.asked_at) >= ASK_AGAIN + SignedDuration::from_secs(writing)
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
        let all_so_far = self.named.len() as u64 + 1 == self.unsafe_files;
        if all_so_far {
            let name = format!("{path} ({bytes} bytes: {what})");
            let named: usize = self.named.iter().map(String::len).sum();
            if named + name.len() <= MOST_NAMED_BYTES {
                self.named.push(name);
            }
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
    /// In a hurry: all that comes first has been asked for.
    pub ranked: bool,
    /// What was asked and is not there yet.
    pub pending: Vec<Pending>,
    /// What has been saved so far.
    pub totals: Totals,
    /// The worker is out of service, and its clients were done when the pass began: if that pass is clean, the drain
    /// is at its end.
    pub clients_done: bool,
    /// They were held for done only because the worker never looked idle for so long.
    pub idle_limit_reached: bool,
}

impl Progress {
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

    /// Notes that a file is where it should be.
    pub fn saved(&mut self, pending: &Pending) {
        if pending.copy {
            self.totals.replicated_files += 1;
            self.totals.replicated_bytes += pending.bytes;
        } else {
            self.totals.persisted_files += 1;
            self.totals.persisted_bytes += pending.bytes;
        }
    }
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
mod tests {
    use super::*;
    use crate::cache::WorkerFile;

    const HOST: &str = "10.0.0.7";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn worker(state: WorkerState) -> Worker {
        Worker {
            host: HOST.into(),
            address: HOST.into(),
            rpc_port: 29_999,
            web_port: 30_000,
            state,
            capacity_bytes: 0,
            used_bytes: 0,
            last_contact_seconds: 0,
        }
    }

    fn phase(state: Option<WorkerState>, pod: bool, startup_taint: bool) -> Phase {
        let node = Node {
            startup_taint,
            ..Node::default()
        };
        next_phase(&node, HOST, state.map(worker), pod.then(Pod::default).as_ref())
    }

    #[test]
    fn a_worker_in_service_is_saved_also_on_a_node_that_never_opened() {
        use WorkerState::Live;
        assert!(matches!(phase(Some(Live), true, false), Phase::Save(_)));
        assert!(matches!(phase(Some(Live), true, true), Phase::Save(_)));
        assert!(matches!(phase(Some(Live), false, false), Phase::Save(_)));
    }

    #[test]
    fn a_worker_out_of_service_is_looked_at_again() {
        assert!(matches!(
            phase(Some(WorkerState::Decommissioned), true, false),
            Phase::LookAgain(_)
        ));
        assert!(matches!(
            phase(Some(WorkerState::Disabled), true, false),
            Phase::LookAgain(_)
        ));
    }

    #[test]
    fn a_worker_out_of_service_whose_pod_is_gone_holds_nothing_though_the_master_remembers_it() {
        assert!(matches!(
            phase(Some(WorkerState::Decommissioned), false, false),
            Phase::Absent(_)
        ));
    }

    #[test]
    fn a_lost_worker_is_waited_for_while_its_pod_stands() {
        assert!(matches!(
            phase(Some(WorkerState::Lost), true, false),
            Phase::AwaitWorker(_)
        ));
        assert!(matches!(phase(None, true, false), Phase::AwaitWorker(_)));
        assert!(matches!(
            phase(Some(WorkerState::Lost), false, false),
            Phase::Absent(_)
        ));
        assert!(matches!(phase(None, false, false), Phase::Absent(_)));
    }

    #[test]
    fn a_worker_that_never_registered_on_a_node_that_never_opened_holds_nothing() {
        assert!(matches!(phase(None, true, true), Phase::Absent(_)));
    }

    #[test]
    fn a_worker_goes_out_of_service_after_two_clean_passes_in_a_row() {
        let (clean, mut dirty) = (Pass::default(), Pass::default());
        dirty.needs("/a", 1, "persist");
        let mut progress = Progress::default();
        assert!(!progress.passed(&clean));
        assert!(!progress.passed(&dirty));
        assert!(!progress.passed(&clean));
        assert!(progress.passed(&clean));
    }

    fn page(looked: u64, total: u64) -> WorkerFilePage {
        let file = |index| WorkerFile {
            path: format!("/f{index}"),
            persisted: true,
        };
        WorkerFilePage {
            total,
            looked,
            files: (0..looked).map(file).collect(),
        }
    }

    #[test]
    fn a_pass_skips_no_file_when_others_vanish_between_two_pages() {
        let mut pass = Pass::default();
        pass.page(&page(100, 250));
        assert_eq!(pass.offset, 100);
        // 30 files are gone: what stood at 100 may stand at 70 now.
        pass.page(&page(100, 220));
        assert_eq!(pass.offset, 170);
        assert!(!pass.complete(&page(100, 220)));
        pass.page(&page(50, 220));
        assert!(pass.complete(&page(50, 220)));
    }

    #[test]
    fn a_page_without_a_single_name_is_not_the_last_one() {
        let nameless = WorkerFilePage {
            files: Vec::new(),
            ..page(100, 250)
        };
        let mut pass = Pass::default();
        pass.page(&nameless);
        assert_eq!((pass.offset, pass.unnamed_files), (100, 100));
        assert!(!pass.complete(&nameless));
    }

    #[test]
    fn a_pass_with_files_without_a_name_takes_no_worker_out_of_service() {
        let mut progress = Progress::default();
        let nameless = Pass {
            unnamed_files: 1,
            ..Pass::default()
        };
        assert!(!progress.passed(&nameless) && !progress.passed(&nameless));
    }

    #[test]
    fn a_large_file_gets_the_time_to_be_written_before_it_is_asked_for_again() {
        let pending = |bytes| Pending {
            path: "/a".into(),
            bytes,
            asked_at: at(0),
            copy: false,
        };
        assert!(!pending(1).stale(at(59)) && pending(1).stale(at(60)));
        assert!(!pending(6_000_000_000).stale(at(659)) && pending(6_000_000_000).stale(at(660)));
    }

    #[test]
    fn a_pass_over_an_empty_worker_is_complete_at_once() {
        let mut pass = Pass::default();
        pass.page(&page(0, 0));
        assert!(pass.complete(&page(0, 0)) && pass.clean());
    }

    #[test]
    fn a_pass_counts_every_file_and_names_as_many_as_an_event_holds() {
        let mut pass = Pass::default();
        for index in 0..100_000 {
            pass.needs(&format!("/f{index:06}"), 10, "persist");
        }
        assert_eq!((pass.unsafe_files, pass.unsafe_bytes), (100_000, 1_000_000));
        let name = "/f000000 (10 bytes: persist)";
        assert_eq!(pass.named[0], name);
        assert_eq!(pass.named.len(), MOST_NAMED_BYTES / name.len());
    }

    #[test]
    fn what_is_carried_between_calls_stays_far_below_what_an_execution_may_hold() {
        let pending = Pending {
            path: "/".repeat(512),
            bytes: u64::MAX,
            asked_at: at(0),
            copy: false,
        };
        let mut pass = Pass::default();
        for _ in 0..1_000 {
            pass.needs(&"/".repeat(512), u64::MAX >> 12, "persist");
        }
        let progress = Progress {
            pass: Some(pass),
            pending: vec![pending; MOST_PENDING],
            ..Progress::default()
        };
        let size = serde_json::to_vec(&progress).expect("serializes").len();
        assert!(size < 128 * 1024, "{size} bytes");
    }

    #[test]
    fn clients_have_had_their_new_list_of_workers_before_a_worker_counts_as_idle() {
        let wait = IdleWait {
            refresh_seconds: 120,
            limit_seconds: 180,
        };
        let idle = [Some(WorkerLoad {
            operations: 0,
            active_reads: 0,
            active_writes: 0,
        }); 3];
        assert_eq!(wait.judge(at(0), &idle, at(119)), Idle::NotYet);
        assert_eq!(wait.judge(at(0), &idle, at(120)), Idle::Idle);
        assert_eq!(wait.judge(at(0), &idle[..2], at(120)), Idle::NotYet);
    }

    #[test]
    fn a_worker_that_never_looks_idle_goes_after_its_limit() {
        let wait = IdleWait {
            refresh_seconds: 120,
            limit_seconds: 180,
        };
        let busy = [Some(WorkerLoad {
            operations: 0,
            active_reads: 1,
            active_writes: 0,
        }); 3];
        assert_eq!(wait.judge(at(0), &busy, at(179)), Idle::NotYet);
        assert_eq!(wait.judge(at(0), &busy, at(180)), Idle::LimitReached);
    }

    #[test]
    fn a_worker_that_does_not_answer_is_not_taken_for_idle() {
        let wait = IdleWait {
            refresh_seconds: 0,
            limit_seconds: 180,
        };
        assert_eq!(wait.judge(at(0), &[None, None, None], at(1)), Idle::NotYet);
        assert_eq!(
            wait.judge(at(0), &[None, None, None], at(180)),
            Idle::LimitReached
        );
    }
}
