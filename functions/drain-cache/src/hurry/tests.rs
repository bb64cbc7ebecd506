//! The two minutes of a Spot interruption against an Alluxio whose under store takes so many bytes a second of all that is
//! being written, on a clock that the test turns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::cache::{
    FileState, IdleWait, MOST_LISTED_BYTES, Worker, WorkerFile, WorkerFilePage, WorkerLoad, WorkerState,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::node::{Node, NodeChange, Pod};
use tidegate_domain::ports::{CacheMaster, CacheWorker, Changed, Clock, Eviction, Nodes, Pods};
use tidegate_domain::subject::Subject;
use tidegate_lambda::Serve;

use crate::DrainCache;

const HERE: &str = "10.0.1.7";
const MB: u64 = 1_000_000;
/// What EC2 says in a Spot interruption warning, from its own time on.
const WARNING_SECONDS: i64 = 120;

struct File {
    bytes: u64,
    written: u64,
    asked_at: Option<i64>,
    elsewhere: bool,
    persisted: bool,
}

/// One worker with its node, and the under store behind it.
struct World {
    now: Cell<i64>,
    bytes_a_second: u64,
    files: RefCell<BTreeMap<String, File>>,
    decommissioned_at: Cell<Option<i64>>,
    node: RefCell<Node>,
}

impl World {
    fn with_files(bytes_a_second: u64, files: impl IntoIterator<Item = (String, u64)>) -> Self {
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
        let share = self.bytes_a_second / (under_way.len().max(1) as u64);
        for file in under_way {
            file.written += share;
            file.persisted = file.written >= file.bytes;
        }
    }

    fn saved_bytes(&self) -> u64 {
        let files = self.files.borrow();
        files
            .values()
            .filter(|file| file.persisted)
            .map(|file| file.bytes)
            .sum()
    }

    /// What the state machine gets in the end, and the second of that.
    async fn drain(&self) -> (Value, i64) {
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
        let mut progress = Value::Null;
        loop {
            let payload = json!({
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
                "deadline": Timestamp::constant(WARNING_SECONDS, 0),
                "progress": progress,
                "reclaimed": true,
            });
            let began = self.now.get();
            let mut reply = function.serve(payload).await.expect("an answer");
            assert!(
                self.now.get() - began < 28,
                "a call takes less than a function may"
            );
            if reply.answer["outcome"] != "waiting" {
                return (reply.answer, self.now.get());
            }
            progress = reply.answer["progress"].take();
            let seconds = reply.answer["retryAfterSeconds"]
                .as_u64()
                .expect("when to ask again");
            self.sleep(Duration::from_secs(seconds)).await;
        }
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
        Ok(vec![Pod::default()])
    }

    async fn evict(&self, _: &Pod) -> Result<Eviction> {
        not_asked()
    }

    async fn delete(&self, _: &Pod) -> Result<Changed> {
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
        Ok(Some(Worker {
            host: HERE.to_owned(),
            address: HERE.to_owned(),
            rpc_port: 29_999,
            web_port: 30_000,
            state,
            capacity_bytes: 1 << 40,
            used_bytes: 1 << 39,
            last_contact_seconds: 0,
        }))
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
        Ok(Vec::new())
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

impl World {
    async fn sleep(&self, duration: Duration) {
        Clock::sleep(&self, duration).await;
    }
}

fn files(count: usize, bytes: u64) -> impl Iterator<Item = (String, u64)> {
    (0..count).map(move |number| (format!("/small/part-{number:05}"), bytes))
}

#[tokio::test]
async fn what_can_all_be_saved_in_time_is_saved_and_the_drain_is_complete() {
    let world = World::with_files(100 * MB, files(40, 50 * MB));
    let (answer, ended) = world.drain().await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert_eq!(world.saved_bytes(), 40 * 50 * MB);
    assert_eq!(answer["idleLimitReached"], true, "clients had only what was left");
    assert!(ended <= WARNING_SECONDS, "{ended}");
}

#[tokio::test]
async fn a_large_file_of_the_last_page_is_saved_before_small_ones_of_the_first() {
    let large = (0..4).map(|number| (format!("/z-large/{number}"), 900 * MB));
    let world = World::with_files(40 * MB, files(2_000, MB).chain(large));
    let (answer, _) = world.drain().await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    let files = world.files.borrow();
    let saved = files
        .iter()
        .filter(|(path, file)| path.starts_with("/z") && file.persisted)
        .count();
    assert_eq!(saved, 4);
}

#[tokio::test]
async fn what_is_saved_is_most_of_what_the_under_store_can_take_in_the_time() {
    let large = (0..40).map(|number| (format!("/z-large/{number:02}"), 100 * MB + number * 10 * MB));
    let world = World::with_files(40 * MB, files(600, MB).chain(large));
    world.drain().await;
    let possible = 40 * MB * (WARNING_SECONDS.unsigned_abs() - 8);
    let percent = world.saved_bytes() * 100 / possible;
    assert!(percent >= 70, "{percent} % of {possible} bytes");
}

#[tokio::test]
async fn each_file_that_could_not_be_saved_is_listed_and_the_worker_goes_out_of_service_in_the_last_moment() {
    let world = World::with_files(
        MB,
        [
            ("/a".to_owned(), 30 * MB),
            ("/b".to_owned(), 5_000 * MB),
            ("/c".to_owned(), 700 * MB),
        ],
    );
    let (answer, ended) = world.drain().await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["unsavedFiles"],
        json!([
            "/b (5000000000 bytes: not in the under store)",
            "/c (700000000 bytes: not in the under store)"
        ])
    );
    assert_eq!(
        (&answer["filesLeft"], &answer["bytesLeft"]),
        (&json!(2), &json!(5_700 * MB))
    );
    assert_eq!(answer["persistedFiles"], 1);
    assert!(answer.get("moreUnsavedFiles").is_none());
    let out = world.decommissioned_at.get().expect("out of service");
    assert!((WARNING_SECONDS - 8..=WARNING_SECONDS).contains(&out), "{out}");
    assert!(ended <= WARNING_SECONDS, "{ended}");
}

#[tokio::test]
async fn of_many_files_that_could_not_be_saved_as_many_are_listed_as_an_event_has_room_for() {
    let world = World::with_files(0, files(1_400, MB));
    let (answer, _) = world.drain().await;
    let listed = answer["unsavedFiles"].as_array().expect("a list").len() as u64;
    let more = answer["moreUnsavedFiles"].as_u64().expect("more");
    assert_eq!(answer["filesLeft"], 1_400);
    assert_eq!(listed + more, 1_400);
    assert!(listed > 300);
    assert!(answer["unsavedFiles"].to_string().len() <= MOST_LISTED_BYTES + 2);
}

#[tokio::test]
async fn a_file_with_a_copy_elsewhere_is_not_told_as_lost() {
    let world = World::with_files(0, [("/here".to_owned(), MB), ("/there".to_owned(), 9 * MB)]);
    if let Some(file) = world.files.borrow_mut().get_mut("/there") {
        file.elsewhere = true;
    }
    let (answer, _) = world.drain().await;
    assert_eq!(
        answer["unsavedFiles"],
        json!(["/here (1000000 bytes: not in the under store)"])
    );
    assert_eq!(answer["bytesLeft"], MB);
}
