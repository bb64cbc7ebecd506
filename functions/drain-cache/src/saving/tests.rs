//! The flow of a pass against an Alluxio that saves a few files a second of a clock that the test turns.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tidegate_domain::cache::{
    Block, FileState, IdleWait, MOST_PENDING, Stores, Worker, WorkerFile, WorkerFilePage, WorkerLoad,
    WorkerState,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Clock, Copied, CopyTargets, CopyWish, Target, WorkerReport,
};
use tidegate_lambda::Call;

use super::Passed;
use crate::{DrainCache, Facts, Progress, Session};

const HERE: &str = "10.0.1.7";

/// Holds files that nobody else has, and brings the oldest asked ones to the under store.
#[derive(Default)]
struct Alluxio {
    now: Cell<i64>,
    files: usize,
    saved_a_second: usize,
    queue: RefCell<VecDeque<usize>>,
    saved: RefCell<Vec<bool>>,
    idle_seconds: Cell<usize>,
}

impl Alluxio {
    fn with_files(files: usize, saved_a_second: usize) -> Self {
        Self {
            files,
            saved_a_second,
            saved: RefCell::new(vec![false; files]),
            ..Self::default()
        }
    }

    fn unsaved(&self) -> usize {
        self.saved.borrow().iter().filter(|saved| !**saved).count()
    }

    fn second(&self) {
        self.now.set(self.now.get() + 1);
        let mut queue = self.queue.borrow_mut();
        if queue.len() < self.saved_a_second && self.unsaved() > queue.len() {
            self.idle_seconds.set(self.idle_seconds.get() + 1);
        }
        let saved = queue.len().min(self.saved_a_second);
        for file in queue.drain(..saved) {
            self.saved.borrow_mut()[file] = true;
        }
    }

    fn number(path: &str) -> usize {
        path.trim_start_matches("/file-").parse().unwrap_or(usize::MAX)
    }
}

fn not_asked<T>() -> Result<T> {
    Err(Error::new(ErrorName::AlluxioRefused, "a pass does not ask that"))
}

impl CacheMaster for &Alluxio {
    async fn worker(&self, _: &str) -> Result<Option<Worker>> {
        not_asked()
    }

    async fn lost_storage(&self, _: &str) -> Result<Vec<String>> {
        not_asked()
    }

    async fn file(&self, path: &str) -> Result<Option<FileState>> {
        Ok(Some(FileState {
            path: path.to_owned(),
            length: 1,
            completed: true,
            persisted: self.saved.borrow()[Alluxio::number(path)],
            persisting: self.queue.borrow().contains(&Alluxio::number(path)),
            folder: false,
            blocks: vec![Block {
                id: 1,
                bytes: 1,
                hosts: vec![HERE.to_owned()],
                known: true,
            }],
            ..FileState::default()
        }))
    }

    async fn stores(&self) -> Result<Stores> {
        Ok(Stores {
            mounts: [("/".to_owned(), false)].into(),
            ..Stores::default()
        })
    }

    async fn persist(&self, path: &str) -> Result<Changed> {
        self.queue.borrow_mut().push_back(Alluxio::number(path));
        assert!(
            self.queue.borrow().len() <= MOST_PENDING,
            "more than may be carried from call to call"
        );
        Ok(Changed::Done)
    }

    async fn copy(&self, _: &CopyWish<'_>, _: &impl CopyTargets) -> Result<Copied> {
        not_asked()
    }

    async fn decommission(&self, _: &Worker) -> Result<Changed> {
        not_asked()
    }
}

impl WorkerReport for &Alluxio {
    async fn every_worker(&self) -> Result<Vec<Worker>> {
        Ok(vec![worker()])
    }
}

impl CopyTargets for &Alluxio {
    async fn claim(&self, _: &Worker, _: bool, _: &CopyWish<'_>) -> Result<Target> {
        not_asked()
    }
}

impl CacheWorker for &Alluxio {
    async fn files(&self, _: &Worker, offset: u64, limit: u32) -> Result<Option<WorkerFilePage>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.files);
        let to = self.files.min(from + limit as usize);
        let saved = self.saved.borrow();
        let files: Vec<_> = (from..to)
            .map(|number| WorkerFile {
                path: format!("/file-{number}"),
                persisted: saved[number],
                ..WorkerFile::default()
            })
            .collect();
        Ok(Some(WorkerFilePage {
            total: self.files as u64,
            looked: files.len() as u64,
            files,
        }))
    }

    async fn load(&self, _: &Worker) -> Result<Option<WorkerLoad>> {
        not_asked()
    }
}

impl Clock for &Alluxio {
    fn now(&self) -> Timestamp {
        Timestamp::constant(self.now.get(), 0)
    }

    async fn sleep(&self, duration: Duration) {
        for _ in 0..duration.as_secs() {
            self.second();
        }
    }
}

fn worker() -> Worker {
    Worker {
        host: HERE.to_owned(),
        address: HERE.to_owned(),
        rpc_port: 29999,
        web_port: 30000,
        state: WorkerState::Live,
        capacity_bytes: 1 << 30,
        used_bytes: 0,
        last_contact_seconds: 0,
    }
}

/// One call's pass of at most so many seconds.
async fn pass(alluxio: &Alluxio, seconds: i64) -> (Passed, Session) {
    let call = json!({
        "node": {
            "instanceId": "i-0123456789abcdef0",
            "autoScalingGroup": "nvme",
            "availabilityZone": "us-west-2a",
            "instanceType": "m5d.4xlarge",
            "lifecycleState": "Terminating:Wait",
            "disks": [],
            "diskLayout": "none",
            "hook": null,
            "retains": true,
        },
        "execution": "e-1",
        "startedAt": "1970-01-01T00:00:00Z",
        "deadline": "1970-01-01T01:00:00Z",
    });
    let function = DrainCache {
        cluster: alluxio,
        master: alluxio,
        workers: alluxio,
        clock: alluxio,
        watch_seconds: 20,
        namespace: "alluxio".to_owned(),
        idle_wait: IdleWait {
            refresh_seconds: 0,
            limit_seconds: 0,
        },
    };
    let mut session = Session {
        call: Call::read(&call).expect("a call"),
        reclaimed: false,
        leaving: false,
        hold: crate::ending::Hold::Lasts,
        progress: Progress::default(),
        facts: Facts::default(),
        looks: Vec::new(),
        looked_again: false,
        nodeless: false,
        absences: 0,
        silent_since: None,
        without_target: None,
        others_answer: Rc::default(),
        awaits_command: false,
        ends: Timestamp::constant(alluxio.now.get() + seconds, 0),
        closes: Timestamp::constant(alluxio.now.get() + seconds + 6, 0),
    };
    let passed = function.pass(&mut session, &worker()).await.expect("a pass");
    (passed, session)
}

#[tokio::test]
async fn more_files_than_may_wait_at_a_time_are_saved_in_one_pass_without_a_pause() {
    let alluxio = Alluxio::with_files(MOST_PENDING * 5, 20);
    let (passed, session) = pass(&alluxio, 600).await;
    assert!(matches!(passed, Passed::Whole(_)));
    assert_eq!(alluxio.unsaved(), 0);
    assert_eq!(session.progress.totals.persisted_files, 5 * MOST_PENDING as u64);
    assert_eq!(alluxio.idle_seconds.get(), 0);
}

#[tokio::test]
async fn a_pass_whose_call_is_over_stops_asking_and_counts_what_is_left() {
    let alluxio = Alluxio::with_files(1_000, 0);
    let (passed, session) = pass(&alluxio, 20).await;
    assert!(matches!(passed, Passed::Part));
    assert_eq!(session.progress.pending.len(), MOST_PENDING);
    let counted = session.progress.pass.as_ref().map(|pass| pass.unsafe_files);
    assert_eq!(counted, Some(500), "the page that was begun, to its end");
    assert_eq!(alluxio.now.get(), 20);
}
