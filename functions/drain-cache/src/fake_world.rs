//! A node with its worker, and an under store that takes so many bytes a second of all that is being written, on a clock
//! that the test turns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::cache::{
    Block, FileState, HeldBlock, IdleWait, Rate, RateMemory, Stores, Worker, WorkerFile, WorkerFilePage,
    WorkerLoad, WorkerState,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::node::{Node, NodeChange, Pod};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Clock, Copied, CopyTargets, CopyWish, Deletion, Eviction, Nodes, Pods,
    Target, WorkerReport,
};
use tidegate_domain::subject::Subject;
use tidegate_lambda::Serve;

use crate::DrainCache;

pub(crate) const HERE: &str = "10.0.1.7";
pub(crate) const MB: u64 = 1_000_000;
/// What EC2 says in a Spot interruption warning, from its own time on.
pub(crate) const WARNING_SECONDS: i64 = 120;
/// Step Functions takes 256 KiB, and the answers of the other steps are kept beside this one.
const MOST_ANSWER_BYTES: usize = 192 * 1024;

#[allow(clippy::struct_excessive_bools, reason = "Alluxio tells each of them apart")]
pub(crate) struct File {
    pub(crate) bytes: u64,
    pub(crate) elsewhere: bool,
    /// A second block of it is on no worker any more.
    pub(crate) broken: bool,
    pub(crate) persisted: bool,
    /// What Alluxio calls `TO_BE_PERSISTED`.
    persisting: bool,
    /// Bytes that another worker has of it, once it was asked for a copy.
    copied: Option<u64>,
}

/// A persist that Alluxio is going to begin.
struct Request {
    begins_at: i64,
    /// Seconds until the next try, should it fail.
    retry_after: i64,
}

/// A persist that was begun.
struct Job {
    path: String,
    left: u64,
    retry_after: i64,
    /// Another was begun for the file since. Alluxio does not cancel this one, and does not look at its success.
    superseded: bool,
}

impl File {
    /// The first is here, and wherever else; a second one was lost.
    fn blocks(&self, hosts: Vec<String>) -> Vec<Block> {
        let block = |id, hosts| Block {
            id,
            bytes: self.bytes,
            hosts,
            known: true,
        };
        let lost = self.broken.then(|| block(2, Vec::new()));
        [block(1, hosts)].into_iter().chain(lost).collect()
    }
}

/// One worker with its node, and the under store behind it.
///
/// Persists as Alluxio 2.9.6 does (`DefaultFileSystemMaster.PersistenceScheduler`): asked again, a file begins anew while
/// its old job runs on; a job that fails is tried again after a wait that doubles from a second up to an hour; so many jobs
/// run at once as the job workers have threads, and share what the under store takes.
pub(crate) struct World {
    pub(crate) now: Cell<i64>,
    milliseconds: Cell<u64>,
    bytes_a_second: u64,
    names: Vec<String>,
    pub(crate) files: RefCell<BTreeMap<String, File>>,
    requests: RefCell<BTreeMap<String, Request>>,
    jobs: RefCell<Vec<Job>>,
    /// Threads of all job workers.
    pub(crate) streams: Cell<usize>,
    /// The under store takes nothing before that second.
    pub(crate) away_until: Cell<i64>,
    /// Files with one of these in their path are refused by the under store.
    pub(crate) refused: RefCell<Vec<String>>,
    /// Whether Alluxio begins to persist what clients write on a command only, and its configuration says so.
    pub(crate) awaits_command: Cell<bool>,
    /// What other workers take of copies; they have no room where that is nothing.
    pub(crate) copied_a_second: Cell<u64>,
    /// How long a page takes beside a second, for each of its files.
    pub(crate) milliseconds_a_file: Cell<u64>,
    /// Files at the end of the worker's list that it cannot name.
    pub(crate) unnamed: Cell<u64>,
    /// Each call of that number learns nothing from those before, as after a takeover.
    pub(crate) forgets_each: Cell<u64>,
    /// What each call of that number has learned is lost, as where it is cut off.
    pub(crate) cuts_off_each: Cell<u64>,
    /// Where the group does not retain, the second up to which the drain holds on.
    pub(crate) holds_on_until: Cell<Option<i64>>,
    /// Calls so far.
    pub(crate) calls: Cell<u64>,
    /// How often a file was asked to be persisted.
    pub(crate) asked: Cell<u64>,
    /// How often that threw away what had been written.
    pub(crate) begun_anew: Cell<u64>,
    pub(crate) decommissioned_at: Cell<Option<i64>>,
    pub(crate) node: RefCell<Node>,
    /// The other workers.
    pub(crate) others: RefCell<Vec<Worker>>,
    /// Whether the under store takes no writes.
    pub(crate) read_only: Cell<bool>,
    /// Whether there is no Node object.
    pub(crate) nodeless: Cell<bool>,
    /// Whether the worker is gone, and its pod too.
    pub(crate) gone: Cell<bool>,
    /// Whether the worker does not answer.
    pub(crate) silent: Cell<bool>,
    /// What EC2 calls the state of the instance.
    pub(crate) instance_state: Cell<Option<&'static str>>,
    /// Files with one of these in their path are never persisted.
    pub(crate) never_persisted: RefCell<Vec<String>>,
    /// Bytes that are free on other workers in service; none where there is no other.
    pub(crate) room: Cell<Option<u64>>,
    /// The same, but the configuration does not say so.
    pub(crate) silently_ignored: RefCell<Vec<String>>,
    /// The rate that was noted last.
    pub(crate) rate: RefCell<Option<Rate>>,
    /// The bytes that each answer counted as lost.
    pub(crate) lost: RefCell<Vec<f64>>,
}

impl World {
    pub(crate) fn with_files(bytes_a_second: u64, files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let file = |bytes| File {
            bytes,
            elsewhere: false,
            broken: false,
            persisted: false,
            persisting: false,
            copied: None,
        };
        let files: BTreeMap<_, _> = files
            .into_iter()
            .map(|(path, bytes)| (path, file(bytes)))
            .collect();
        Self {
            now: Cell::new(0),
            milliseconds: Cell::new(0),
            bytes_a_second,
            names: files.keys().cloned().collect(),
            files: RefCell::new(files),
            requests: RefCell::default(),
            jobs: RefCell::default(),
            streams: Cell::new(10),
            away_until: Cell::new(0),
            refused: RefCell::default(),
            awaits_command: Cell::new(false),
            copied_a_second: Cell::new(0),
            milliseconds_a_file: Cell::new(0),
            unnamed: Cell::new(0),
            forgets_each: Cell::new(u64::MAX),
            cuts_off_each: Cell::new(u64::MAX),
            holds_on_until: Cell::new(None),
            calls: Cell::new(0),
            asked: Cell::new(0),
            begun_anew: Cell::new(0),
            decommissioned_at: Cell::new(None),
            node: RefCell::new(Node {
                name: "node-1".into(),
                internal_ip: Some(HERE.into()),
                ..Node::default()
            }),
            others: RefCell::default(),
            read_only: Cell::new(false),
            nodeless: Cell::new(false),
            gone: Cell::new(false),
            silent: Cell::new(false),
            instance_state: Cell::new(None),
            never_persisted: RefCell::default(),
            room: Cell::default(),
            silently_ignored: RefCell::default(),
            rate: RefCell::default(),
            lost: RefCell::default(),
        }
    }

    fn pass_time(&self, milliseconds: u64) {
        let passed = self.milliseconds.get() + milliseconds;
        self.milliseconds.set(passed % 1_000);
        for _ in 0..passed / 1_000 {
            self.second();
        }
    }

    fn second(&self) {
        self.now.set(self.now.get() + 1);
        if self.decommissioned_at.get().is_none() {
            self.begin_jobs();
            self.write();
            self.copy_on();
        }
    }

    fn begin_jobs(&self) {
        let now = self.now.get();
        let mut jobs = self.jobs.borrow_mut();
        let files = self.files.borrow();
        self.requests.borrow_mut().retain(|path, request| {
            if request.begins_at > now {
                return true;
            }
            for job in jobs.iter_mut().filter(|job| job.path == *path) {
                job.superseded = true;
            }
            jobs.push(Job {
                path: path.clone(),
                left: files[path].bytes,
                retry_after: request.retry_after,
                superseded: false,
            });
            false
        });
    }

    /// A second of the under store: what is being written shares what it takes.
    fn write(&self) {
        let now = self.now.get();
        let away = now < self.away_until.get();
        let mut jobs = self.jobs.borrow_mut();
        let refused = |path: &str| self.refused.borrow().iter().any(|part| path.contains(part));
        let mut running = 0;
        jobs.retain(|job| {
            running += 1;
            if running > self.streams.get() || !(away || refused(&job.path)) {
                return true;
            }
            if !job.superseded {
                let request = Request {
                    begins_at: now + job.retry_after,
                    retry_after: (job.retry_after * 2).min(3_600),
                };
                self.requests.borrow_mut().insert(job.path.clone(), request);
            }
            false
        });
        // One that takes the place of one that failed begins in the next second.
        let writing = |job: &&mut Job| !(away || refused(&job.path));
        let mut under_way: Vec<_> = jobs.iter_mut().take(self.streams.get()).filter(writing).collect();
        // What a file does not need of its share goes to the others.
        under_way.sort_by_key(|job| job.left);
        let (mut left, mut others) = (self.bytes_a_second, under_way.len() as u64);
        for job in under_way {
            let written = (left / others).min(job.left);
            job.left -= written;
            left -= written;
            others -= 1;
        }
        let mut files = self.files.borrow_mut();
        jobs.retain(|job| {
            if job.left == 0 && !job.superseded {
                let file = files.get_mut(&job.path).expect("a file");
                (file.persisted, file.persisting) = (true, false);
            }
            job.left > 0
        });
    }

    /// A second of the other workers.
    fn copy_on(&self) {
        let mut files = self.files.borrow_mut();
        let copied = |file: &&mut File| file.copied.is_some() && !file.elsewhere;
        let mut left = self.copied_a_second.get();
        if left == 0 {
            return;
        }
        for file in files.values_mut().filter(copied) {
            let done = file.copied.unwrap_or_default();
            let more = left.min(file.bytes - done);
            file.copied = Some(done + more);
            file.elsewhere = done + more == file.bytes;
            left -= more;
        }
    }

    /// Alluxio persists a file by itself, as it does with `ASYNC_THROUGH`.
    pub(crate) fn persist_by_itself(&self, path: &str) {
        self.files.borrow_mut().get_mut(path).expect("a file").persisting = true;
        let request = Request {
            begins_at: self.now.get() + 2,
            retry_after: 1,
        };
        self.requests.borrow_mut().insert(path.to_owned(), request);
    }

    /// A client has written a file with `ASYNC_THROUGH`, and Alluxio waits for a command.
    pub(crate) fn await_command(&self, path: &str) {
        self.files.borrow_mut().get_mut(path).expect("a file").persisting = true;
    }

    pub(crate) fn saved_bytes(&self) -> u64 {
        let files = self.files.borrow();
        files
            .values()
            .filter(|file| file.persisted)
            .map(|file| file.bytes)
            .sum()
    }

    /// What the state machine gets in the end of a drain before a Spot interruption, and the second of that.
    pub(crate) async fn drain(&self) -> (Value, i64) {
        self.run(WARNING_SECONDS, json!({ "reclaimed": true })).await
    }

    /// What the state machine gets in the end when it calls with these fields, and the second of that.
    pub(crate) async fn run(&self, deadline: i64, more: Value) -> (Value, i64) {
        let function = DrainCache {
            cluster: self,
            master: self,
            workers: self,
            clock: self,
            watch_seconds: 20,
            namespace: "alluxio".to_owned(),
            idle_wait: IdleWait {
                refresh_seconds: 120,
                limit_seconds: 180,
            },
        };
        let mut payload = json!({
            "node": {
                "instanceId": "i-0123456789abcdef0",
                "autoScalingGroup": "nvme",
                "availabilityZone": "us-west-2a",
                "instanceType": "m5d.4xlarge",
                "lifecycleState": "InService",
                "disks": [],
                "diskLayout": "none",
                "hook": null,
                "retains": true,
            },
            "execution": "e-1",
            "startedAt": "1970-01-01T00:00:00Z",
            "deadline": Timestamp::constant(deadline, 0),
        });
        for (name, value) in more.as_object().expect("fields") {
            payload[name] = value.clone();
        }
        payload["node"]["instanceState"] = json!(self.instance_state.get());
        if self.holds_on_until.get().is_some() {
            payload["node"]["retains"] = json!(false);
            payload["node"]["hook"] = json!({
                "name": "hook",
                "heartbeatSeconds": 3_600,
                "globalSeconds": 172_800,
                "defaultResult": "ABANDON",
            });
        }
        loop {
            let began = self.now.get();
            let mut reply = function.serve(payload.clone()).await.expect("an answer");
            assert!(
                self.now.get() - began < 28,
                "a call takes less than a function may"
            );
            let lost = reply.metrics.iter().filter(|metric| metric.name == "BytesLost");
            self.lost.borrow_mut().extend(lost.map(|metric| metric.value));
            let size = serde_json::to_vec(&reply.answer).expect("JSON").len();
            assert!(size < MOST_ANSWER_BYTES, "{size} bytes");
            self.calls.set(self.calls.get() + 1);
            let retry = reply.answer["retryAfterSeconds"].as_u64();
            let holds_on = self.holds_on_until.get().is_some_and(|end| self.now.get() < end);
            let seconds = match reply.answer["outcome"].as_str().expect("an outcome") {
                "waiting" => retry.expect("when to ask again"),
                // As the state machine's HoldOnForCache.
                "incomplete" if holds_on => retry.unwrap_or(300).min(300),
                _ => return (reply.answer, self.now.get()),
            };
            if self.calls.get().is_multiple_of(self.forgets_each.get()) {
                payload["progress"] = Value::Null;
            } else if !self.calls.get().is_multiple_of(self.cuts_off_each.get()) {
                payload["progress"] = reply.answer["progress"].take();
            }
            Clock::sleep(&self, Duration::from_secs(seconds)).await;
        }
    }
}

/// A worker that is half full.
pub(crate) fn worker(host: &str, state: WorkerState) -> Worker {
    Worker {
        host: host.to_owned(),
        address: host.to_owned(),
        rpc_port: 29_999,
        web_port: 30_000,
        state,
        capacity_bytes: 1 << 40,
        used_bytes: 1 << 39,
        last_contact_seconds: 0,
    }
}

fn not_asked<T>() -> Result<T> {
    Err(Error::new(ErrorName::Defect, "a drain does not ask that"))
}

impl Nodes for &World {
    async fn find(&self, _: &Subject, _: Duration) -> Result<Option<Node>> {
        Ok((!self.nodeless.get()).then(|| self.node.borrow().clone()))
    }

    async fn change(&self, _: &Node, change: &NodeChange) -> Result<Changed> {
        let mut node = self.node.borrow_mut();
        for (name, value) in change.annotations.clone() {
            node.annotations
                .insert(name.to_owned(), value.unwrap_or_default());
        }
        Ok(Changed::Done)
    }
}

impl Pods for &World {
    async fn on_node(
        &self,
        _: &str,
        _: Option<(&str, &str)>,
        _: Duration,
        _: &dyn Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>> {
        Ok(if self.gone.get() || self.nodeless.get() {
            vec![]
        } else {
            vec![Pod::default()]
        })
    }

    async fn evict(&self, _: &Pod) -> Result<Eviction> {
        not_asked()
    }

    async fn delete(&self, _: &Pod) -> Result<Deletion> {
        not_asked()
    }

    async fn worker_daemon_set_exists(&self, _: &str, _: &str) -> Result<bool> {
        not_asked()
    }
}

impl CacheMaster for &World {
    async fn worker(&self, _: &str) -> Result<Option<Worker>> {
        let state = match self.decommissioned_at.get() {
            Some(_) => WorkerState::Decommissioned,
            None => WorkerState::Live,
        };
        Ok((!self.gone.get()).then(|| worker(HERE, state)))
    }

    async fn lost_storage(&self, _: &str) -> Result<Vec<String>> {
        not_asked()
    }

    async fn file(&self, path: &str) -> Result<Option<FileState>> {
        let files = self.files.borrow();
        Ok(files.get(path).map(|file| {
            let mut hosts = Vec::new();
            if self.decommissioned_at.get().is_none() {
                hosts.push(HERE.to_owned());
            }
            if file.elsewhere {
                hosts.push("10.0.1.8".to_owned());
            }
            FileState {
                path: path.to_owned(),
                length: file.bytes,
                completed: true,
                persisted: file.persisted,
                persisting: file.persisting,
                folder: false,
                blocks: file.blocks(hosts),
                ..FileState::default()
            }
        }))
    }

    async fn stores(&self) -> Result<Stores> {
        Ok(Stores {
            blacklist: self.never_persisted.borrow().clone(),
            mounts: [("/".to_owned(), self.read_only.get())].into(),
            awaits_command: self.awaits_command.get(),
            stalled: false,
        })
    }

    async fn persist(&self, path: &str) -> Result<Changed> {
        let ignored = |part: &String| path.contains(part);
        self.asked.set(self.asked.get() + 1);
        if self.silently_ignored.borrow().iter().any(ignored) {
            return Ok(Changed::Done);
        }
        let persisted = self.files.borrow().get(path).map(|file| file.persisted);
        let Some(persisted) = persisted else {
            return Ok(Changed::Gone);
        };
        assert!(!persisted, "{path} is written again");
        let running = |job: &Job| job.path == path && !job.superseded;
        if self.jobs.borrow().iter().any(running) {
            self.begun_anew.set(self.begun_anew.get() + 1);
        }
        self.persist_by_itself(path);
        Ok(Changed::Done)
    }

    async fn copy(&self, wish: &CopyWish<'_>, _: &impl CopyTargets) -> Result<Copied> {
        let copied_a_second = self.copied_a_second.get();
        let room = if copied_a_second > 0 {
            Some(u64::MAX)
        } else {
            self.room.get()
        };
        let Some(room) = room else {
            return Ok(Copied::NoTarget("no other worker is in service".to_owned()));
        };
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(wish.path).filter(|file| !file.elsewhere) else {
            return Ok(Copied::Nothing);
        };
        if room < file.bytes {
            return Ok(Copied::NoTarget(format!(
                "no other worker has {} bytes free",
                file.bytes
            )));
        }
        if copied_a_second > 0 {
            file.copied.get_or_insert(0);
        } else {
            self.room.set(Some(room - file.bytes));
            file.elsewhere = true;
        }
        Ok(Copied::Asked)
    }

    async fn decommission(&self, _: &Worker) -> Result<Changed> {
        self.decommissioned_at.set(Some(self.now.get()));
        Ok(Changed::Done)
    }
}

impl CopyTargets for &World {
    async fn claim(&self, _: &Worker, _: bool, _: &CopyWish<'_>) -> Result<Target> {
        not_asked()
    }
}

impl WorkerReport for &World {
    async fn every_worker(&self) -> Result<Vec<Worker>> {
        let here = self.worker(HERE).await?;
        let mut every: Vec<_> = here.into_iter().collect();
        every.extend(self.others.borrow().iter().cloned());
        Ok(every)
    }
}

impl RateMemory for &World {
    async fn last_rate(&self, _: &str) -> Result<Option<Rate>> {
        Ok(self.rate.borrow().clone())
    }

    async fn note_rate(&self, _: &str, rate: &Rate) -> Result<()> {
        self.rate.replace(Some(rate.clone()));
        Ok(())
    }
}

impl CacheWorker for &World {
    async fn files(&self, _: &Worker, offset: u64, limit: u32) -> Result<Option<WorkerFilePage>> {
        let total = self.names.len() as u64 + self.unnamed.get();
        let looked = total.saturating_sub(offset).min(limit.into());
        // The worker asks the master about each file, for ten seconds at most.
        let time = 1_000 + looked * self.milliseconds_a_file.get();
        self.pass_time(time.min(10_000));
        if time > 10_000 || self.silent.get() {
            return Ok(None);
        }
        let files = self.files.borrow();
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let page: Vec<_> = self
            .names
            .iter()
            .skip(skipped)
            .take(limit as usize)
            .map(|path| WorkerFile {
                path: path.clone(),
                persisted: files[path].persisted,
                blocks: vec![HeldBlock {
                    id: 1,
                    bytes: files[path].bytes,
                }],
                ..WorkerFile::default()
            })
            .collect();
        Ok(Some(WorkerFilePage {
            total,
            looked,
            files: page,
        }))
    }

    async fn load(&self, _: &Worker) -> Result<Option<WorkerLoad>> {
        Ok(Some(WorkerLoad {
            operations: 1,
            active_reads: 0,
            active_writes: 0,
        }))
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        let milliseconds = i64::try_from(self.milliseconds.get()).expect("below a second");
        Timestamp::from_millisecond(self.now.get() * 1_000 + milliseconds).expect("in range")
    }

    async fn sleep(&self, duration: Duration) {
        self.pass_time(u64::try_from(duration.as_millis()).expect("short"));
    }
}
