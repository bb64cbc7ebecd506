//! A node with its worker, and an under store that takes so many bytes a second of all that is being written, on a clock
//! that the test turns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::cache::{
    FileState, IdleWait, Rate, RateMemory, UnderStores, Worker, WorkerFile, WorkerFilePage, WorkerLoad,
    WorkerState,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::node::{Node, NodeChange, Pod};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Clock, Deletion, Eviction, Nodes, Pods, WorkerReport,
};
use tidegate_domain::subject::Subject;
use tidegate_lambda::Serve;

use crate::DrainCache;

pub(crate) const HERE: &str = "10.0.1.7";
pub(crate) const MB: u64 = 1_000_000;
/// What EC2 says in a Spot interruption warning, from its own time on.
pub(crate) const WARNING_SECONDS: i64 = 120;

pub(crate) struct File {
    pub(crate) bytes: u64,
    written: u64,
    asked_at: Option<i64>,
    pub(crate) elsewhere: bool,
    pub(crate) persisted: bool,
}

/// One worker with its node, and the under store behind it.
pub(crate) struct World {
    pub(crate) now: Cell<i64>,
    bytes_a_second: u64,
    pub(crate) files: RefCell<BTreeMap<String, File>>,
    pub(crate) decommissioned_at: Cell<Option<i64>>,
    pub(crate) node: RefCell<Node>,
    /// The other workers.
    pub(crate) others: RefCell<Vec<Worker>>,
    /// Whether the under store takes no writes.
    pub(crate) read_only: Cell<bool>,
    /// Whether the worker is gone, and its pod too.
    pub(crate) gone: Cell<bool>,
    /// Files with one of these in their path are never persisted.
    pub(crate) never_persisted: RefCell<Vec<String>>,
    /// The rate that was noted last.
    pub(crate) rate: RefCell<Option<Rate>>,
}

impl World {
    pub(crate) fn with_files(bytes_a_second: u64, files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let file = |bytes| File {
            bytes,
            written: 0,
            asked_at: None,
            elsewhere: false,
            persisted: false,
        };
        Self {
            now: Cell::new(0),
            bytes_a_second,
            files: RefCell::new(
                files
                    .into_iter()
                    .map(|(path, bytes)| (path, file(bytes)))
                    .collect(),
            ),
            decommissioned_at: Cell::new(None),
            node: RefCell::new(Node {
                name: "node-1".into(),
                internal_ip: Some(HERE.into()),
                ..Node::default()
            }),
            others: RefCell::default(),
            read_only: Cell::new(false),
            gone: Cell::new(false),
            never_persisted: RefCell::default(),
            rate: RefCell::default(),
        }
    }

    /// A second of the under store: what is being written shares what it takes.
    fn second(&self) {
        self.now.set(self.now.get() + 1);
        if self.decommissioned_at.get().is_some() {
            return;
        }
        let mut files = self.files.borrow_mut();
        let mut under_way: Vec<_> = files
            .values_mut()
            .filter(|file| !file.persisted && file.asked_at.is_some_and(|at| at + 2 <= self.now.get()))
            .collect();
        under_way.sort_by_key(|file| file.asked_at);
        under_way.truncate(10);
        // What a file does not need of its share goes to the others.
        under_way.sort_by_key(|file| file.bytes - file.written);
        let (mut left, mut others) = (self.bytes_a_second, under_way.len() as u64);
        for file in under_way {
            let written = (left / others).min(file.bytes - file.written);
            file.written += written;
            file.persisted = file.written == file.bytes;
            left -= written;
            others -= 1;
        }
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
        loop {
            let began = self.now.get();
            let mut reply = function.serve(payload.clone()).await.expect("an answer");
            assert!(
                self.now.get() - began < 28,
                "a call takes less than a function may"
            );
            if reply.answer["outcome"] != "waiting" {
                return (reply.answer, self.now.get());
            }
            payload["progress"] = reply.answer["progress"].take();
            let seconds = reply.answer["retryAfterSeconds"]
                .as_u64()
                .expect("when to ask again");
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
        Ok(Some(self.node.borrow().clone()))
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
        Ok(if self.gone.get() {
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
                folder: false,
                block_hosts: vec![hosts],
            }
        }))
    }

    async fn persistence_blacklist(&self) -> Result<Vec<String>> {
        Ok(self.never_persisted.borrow().clone())
    }

    async fn persist(&self, path: &str) -> Result<Changed> {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(path) else {
            return Ok(Changed::Gone);
        };
        assert!(!file.persisted, "{path} is written again");
        file.asked_at = Some(self.now.get());
        Ok(Changed::Done)
    }

    async fn copy(&self, _: &str, _: &Worker) -> Result<Changed> {
        not_asked()
    }

    async fn decommission(&self, _: &Worker) -> Result<Changed> {
        self.decommissioned_at.set(Some(self.now.get()));
        Ok(Changed::Done)
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

impl UnderStores for &World {
    async fn mounts(&self) -> Result<BTreeMap<String, bool>> {
        Ok([("/".to_owned(), self.read_only.get())].into())
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
        // A page takes about a second, as the worker asks the master about each file.
        self.second();
        let files = self.files.borrow();
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let page: Vec<_> = files
            .iter()
            .skip(skipped)
            .take(limit as usize)
            .map(|(path, file)| WorkerFile {
                path: path.clone(),
                persisted: file.persisted,
            })
            .collect();
        Ok(Some(WorkerFilePage {
            total: files.len() as u64,
            looked: page.len() as u64,
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
        Timestamp::constant(self.now.get(), 0)
    }

    async fn sleep(&self, duration: Duration) {
        for _ in 0..duration.as_secs() {
            self.second();
        }
    }
}
