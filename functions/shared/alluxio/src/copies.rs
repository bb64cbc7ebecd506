//! Copies of blocks on other workers, made by asking those workers to cache them from the one that has them.
//!
//! This is what clients do when they read from a worker that is not near. It is used in place of Alluxio's own
//! replication (`replicationMin`), which needs write permission on the file and a living job worker, pins the file for
//! good, takes up to a minute to begin, and is given once for each block: the job master of 2.9.6 refuses a second job
//! for a block ("There is `SetReplica` job running") long after the first has ended or failed. And the master can
//! replicate nothing whose only copy is on a worker out of service, which still answers reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tidegate_domain::cache::{Block, Directory, FileState, HeldBlock, Room, Worker, WorkerState, to_free};
use tidegate_domain::error::Result as Answered;
use tidegate_domain::ports::{CacheWorker, Copied, CopyTargets, CopyWish, Target};
use tokio::sync::Mutex;
use tonic::Code;
use uuid::Uuid;

use crate::connection::{Connection, Role};
use crate::error::Failure;
use crate::login::Login;
use crate::proto::block::block_worker_client::BlockWorkerClient;
use crate::proto::block::{CacheRequest, RemoveBlockRequest};
use crate::worker::AlluxioWorkers;

/// So many blocks of a file go to the same worker before the next one is taken: a file of one block makes one
/// connection, a file of a thousand does not fill a worker.
const BLOCKS_A_TARGET: usize = 64;
/// So many workers are looked at for one file. What is full stays so for a while, and each look costs some requests.
const MOST_LOOKED_AT: usize = 6;
/// For so long a list of workers, and what was learned of each, is good. It is as long as the cluster is large, and a pass
/// copies many files.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// A copy that was asked for and never seen takes room in the reckoning for this long: a worker has taken it up by
/// then, or never will.
const COPY_LIMIT: Duration = Duration::from_mins(5);
/// So many files of a worker's list are looked through for persisted ones: one page, which the worker answers within a second.
const FILES_TO_FREE: u32 = 500;
/// So often blocks are freed on a worker for one file.
const FREED_AT_MOST: usize = 2;
/// So many connections to workers are kept.
const MOST_CONNECTIONS: usize = 16;

/// Workers that may take copies.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    listed_at: (Instant, SystemTime),
    workers: Vec<Worker>,
    next: usize,
    /// By the worker that copies are from, and the one that they go to: one function serves several drains.
    claims: HashMap<(String, String), Target>,
    rooms: HashMap<String, Room>,
}

impl Targets {
    /// Of these workers, those in service. Begins with any of them, so that many callers do not all take the same.
    pub(crate) fn new(workers: Vec<Worker>) -> Self {
        let workers: Vec<_> = workers
            .into_iter()
            .filter(|worker| worker.state == WorkerState::Live)
            .collect();
        Self {
            listed_at: (Instant::now(), SystemTime::now()),
            next: any_below(workers.len()),
            workers,
            claims: HashMap::new(),
            rooms: HashMap::new(),
        }
    }

    pub(crate) fn fresh(&self) -> bool {
        // Of the two clocks of a function that was frozen either may have stood still.
        let (monotonic, wall) = self.listed_at;
        monotonic.elapsed() < LIST_LIMIT && wall.elapsed().is_ok_and(|elapsed| elapsed < LIST_LIMIT)
    }

    /// Those to look at for blocks of which the smallest has so many bytes: one after the other those that have room by the
    /// master's report, then the others, the emptiest first. Never `except`.
    fn in_turn(&self, bytes: u64, except: &str) -> Vec<Worker> {
        let free = |worker: &Worker| worker.capacity_bytes.saturating_sub(worker.used_bytes);
        let count = self.workers.len();
        let mut others: Vec<_> = (0..count)
            .map(|step| &self.workers[(self.next + step) % count])
            .filter(|worker| worker.host != except)
            .collect();
        // Stable: those with room stay in their turn.
        others.sort_by_key(|worker| match free(worker) {
            enough if enough >= bytes => 0,
            less => u64::MAX - less,
        });
        others.truncate(MOST_LOOKED_AT);
        others.into_iter().cloned().collect()
    }

    /// The next file begins with the worker after that one.
    fn turn(&mut self, host: &str) {
        if let Some(place) = self.workers.iter().position(|worker| worker.host == host) {
            self.next = (place + 1) % self.workers.len();
        }
    }

    fn remove(&mut self, host: &str) {
        self.workers.retain(|worker| worker.host != host);
        self.next = 0;
    }
}

/// Which blocks go to which worker, as far as they fit.
struct Placing<'a> {
    left: Vec<&'a Block>,
    placed: Vec<(Worker, Vec<&'a Block>)>,
    /// What stays free on each.
    rooms: HashMap<String, Room>,
    /// Why a worker could not be asked.
    not_yet: Option<String>,
}

impl Placing<'_> {
    /// Gives a worker as many of the blocks as fit, in their order.
    fn give(&mut self, worker: &Worker, mut room: Room) {
        let fit = self.left.iter().take(BLOCKS_A_TARGET);
        let fit = fit.take_while(|block| room.take(block.bytes)).count();
        let given: Vec<_> = self.left.drain(..fit).collect();
        self.rooms.insert(worker.host.clone(), room);
        if !given.is_empty() {
            self.placed.push((worker.clone(), given));
        }
    }

    /// Takes back what that worker was given, in front of what is left.
    fn take_back(&mut self, worker: &Worker) {
        let (theirs, others) = std::mem::take(&mut self.placed)
            .into_iter()
            .partition(|(placed, _)| placed.host == worker.host);
        self.placed = others;
        let theirs: Vec<(Worker, Vec<_>)> = theirs;
        let back = theirs.into_iter().flat_map(|(_, blocks)| blocks);
        self.left.splice(0..0, back);
    }

    fn left_bytes(&self) -> u64 {
        self.left.iter().map(|block| block.bytes).sum()
    }
}

/// A copy that was asked for.
struct Given {
    from: String,
    host: String,
    bytes: u64,
    asked_at: Instant,
}

/// The connections to workers, and what has been asked of them.
pub(crate) struct Copies {
    login: Login,
    workers: AlluxioWorkers,
    connections: Mutex<HashMap<String, Rc<Connection>>>,
    /// By block.
    given: RefCell<HashMap<i64, Given>>,
}

impl Copies {
    /// Connects nowhere yet. Workers want the login that the master wants.
    pub(crate) fn new(login: Login) -> Self {
        Self {
            login,
            workers: AlluxioWorkers::default(),
            connections: Mutex::default(),
            given: RefCell::default(),
        }
    }

    /// Notes where the master sees the blocks of a file.
    pub(crate) fn saw(&self, file: &FileState) {
        let mut given = self.given.borrow_mut();
        if given.is_empty() {
            return;
        }
        given.retain(|_, given| given.asked_at.elapsed() < COPY_LIMIT);
        for block in &file.blocks {
            if given
                .get(&block.id)
                .is_some_and(|given| block.hosts.contains(&given.host))
            {
                given.remove(&block.id);
            }
        }
    }

    /// Asks workers to cache these blocks from the one that has them, where all of them fit. They do it in the background.
    pub(crate) async fn ask(
        &self,
        blocks: &[&Block],
        wish: &CopyWish<'_>,
        targets: &mut Targets,
        claims: &impl CopyTargets,
    ) -> Result<Copied, Failure> {
        let smallest = blocks.iter().map(|block| block.bytes).min().unwrap_or_default();
        let mut placing = Placing {
            left: blocks.to_vec(),
            placed: Vec::new(),
            rooms: HashMap::new(),
            not_yet: None,
        };
        let (mut claimed, mut draining) = (Vec::new(), Vec::new());
        for worker in targets.in_turn(smallest, &wish.from.host) {
            if placing.left.is_empty() {
                break;
            }
            match self.claim(&worker, false, wish, targets, claims).await? {
                Target::Claimed => {
                    self.place(&mut placing, &worker, wish, targets).await?;
                    claimed.push(worker);
                }
                Target::Draining => draining.push(worker),
                Target::Busy(why) => placing.not_yet = Some(why),
            }
        }
        // Large files: more than one turn each.
        Self::place_again(&mut placing, &claimed);
        for worker in &claimed {
            // What was freed may be in a directory in which it makes no room for a block: then once more.
            for _ in 0..FREED_AT_MOST {
                if placing.left.is_empty() || !self.free(worker, placing.left_bytes()).await? {
                    break;
                }
                targets.rooms.remove(&worker.host);
                placing.take_back(worker);
                self.place(&mut placing, worker, wish, targets).await?;
                Self::place_again(&mut placing, std::slice::from_ref(worker));
            }
        }
        if claimed.is_empty() && placing.not_yet.is_none() {
            // They have to pass it on, but this one may go.
            for worker in draining {
                match self.claim(&worker, true, wish, targets, claims).await? {
                    Target::Claimed => {
                        self.place(&mut placing, &worker, wish, targets).await?;
                        claimed.push(worker);
                    }
                    Target::Draining => {}
                    Target::Busy(why) => placing.not_yet = Some(why),
                }
            }
            Self::place_again(&mut placing, &claimed);
        }
        if !placing.left.is_empty() {
            return Ok(match placing.not_yet {
                Some(why) => Copied::NotYet(why),
                None if claimed.is_empty() => Copied::NoTarget("no other worker is in service".to_owned()),
                None => Copied::NoTarget(format!("no other worker has {} bytes free", placing.left_bytes())),
            });
        }
        targets.rooms.extend(placing.rooms);
        for (worker, blocks) in placing.placed {
            targets.turn(&worker.host);
            match self.ask_one(&blocks, wish.from, &worker).await {
                Ok(()) => {}
                Err(failure) if failure.is_unreachable() => {
                    tracing::debug!(
                        worker.host = worker.host,
                        ?failure,
                        "Alluxio worker takes no copy"
                    );
                    targets.remove(&worker.host);
                    return Ok(Copied::NotYet(format!("worker {} does not answer", worker.host)));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Copied::Asked)
    }

    async fn claim(
        &self,
        worker: &Worker,
        draining: bool,
        wish: &CopyWish<'_>,
        targets: &mut Targets,
        claims: &impl CopyTargets,
    ) -> Result<Target, Failure> {
        let key = (wish.from.host.clone(), worker.host.clone());
        match targets.claims.get(&key) {
            Some(Target::Draining) if draining => {}
            Some(known) => return Ok(known.clone()),
            None => {}
        }
        let claim = claims.claim(worker, draining, wish).await;
        let claim = claim.map_err(Failure::Neighbour)?;
        targets.claims.insert(key, claim.clone());
        Ok(claim)
    }

    /// Gives a worker what fits there.
    async fn place(
        &self,
        placing: &mut Placing<'_>,
        worker: &Worker,
        wish: &CopyWish<'_>,
        targets: &Targets,
    ) -> Result<(), Failure> {
        let known = targets.rooms.get(&worker.host).cloned();
        let room = if let Some(room) = known {
            room
        } else {
            let directories = self.workers.directories(worker).await;
            let Some(directories) = directories.map_err(Failure::Neighbour)? else {
                placing.not_yet = Some(format!("worker {} does not answer", worker.host));
                return Ok(());
            };
            self.room(worker, &directories, wish)
        };
        placing.give(worker, room);
        Ok(())
    }

    fn place_again(placing: &mut Placing<'_>, workers: &[Worker]) {
        loop {
            let before = placing.left.len();
            for worker in workers {
                if let Some(room) = placing.rooms.get(&worker.host).cloned() {
                    placing.give(worker, room);
                }
            }
            if placing.left.is_empty() || placing.left.len() == before {
                return;
            }
        }
    }

    /// What was asked for and not seen yet may not take its room yet: what this function knows of on the worker that
    /// it was asked of, what another has asked for before it anywhere.
    fn room(&self, worker: &Worker, directories: &[Directory], wish: &CopyWish<'_>) -> Room {
        let given = self.given.borrow();
        let sum = |counts: &dyn Fn(&Given) -> bool| -> u64 {
            let counted = given.values().filter(|given| counts(given));
            counted.map(|given| given.bytes).sum()
        };
        let from_there = sum(&|given| given.from == wish.from.host);
        let here = sum(&|given| given.host == worker.host);
        Room::of(directories, here + wish.under_way.saturating_sub(from_there))
    }

    /// Takes blocks of persisted files off a worker; answers whether it took any.
    async fn free(&self, worker: &Worker, bytes: u64) -> Result<bool, Failure> {
        let page = async |offset| -> Answered<_> { self.workers.files(worker, offset, FILES_TO_FREE).await };
        let first = page(0).await.map_err(Failure::Neighbour)?;
        let Some(mut listed) = first else { return Ok(false) };
        let enough = |blocks: &[HeldBlock]| blocks.iter().map(|block| block.bytes).sum::<u64>() >= bytes;
        let mut blocks = to_free(&listed.files, bytes);
        if !enough(&blocks) && listed.total > listed.looked {
            // Another part of a long list each time.
            let rest = usize::try_from(listed.total - listed.looked).unwrap_or(usize::MAX);
            let offset = listed.looked + any_below(rest) as u64;
            if let Some(other) = page(offset).await.map_err(Failure::Neighbour)? {
                listed = other;
                blocks = to_free(&listed.files, bytes);
            }
        }
        if !enough(&blocks) {
            // They would go for nothing.
            return Ok(false);
        }
        let connection = self.connection(worker).await?;
        let mut freed = 0;
        for block in &blocks {
            let request = RemoveBlockRequest {
                block_id: Some(block.id),
            };
            let removed = connection
                .call(async |session| {
                    let mut client = BlockWorkerClient::new(session.channel.clone());
                    client.remove_block(session.request(request)).await
                })
                .await;
            match removed {
                Ok(_) => freed += block.bytes,
                Err(failure) if failure.is(Code::NotFound, "") => {}
                Err(failure) if failure.is_unreachable() => break,
                Err(failure) => return Err(failure),
            }
        }
        if freed > 0 {
            tracing::info!(
                worker.host = worker.host,
                bytes = freed,
                "persisted blocks gave way to copies"
            );
        }
        Ok(freed > 0)
    }

    async fn ask_one(&self, blocks: &[&Block], from: &Worker, target: &Worker) -> Result<(), Failure> {
        let connection = self.connection(target).await?;
        for block in blocks {
            let request = CacheRequest {
                block_id: Some(block.id),
                length: i64::try_from(block.bytes).ok(),
                source_host: Some(from.host.clone()),
                source_port: Some(from.rpc_port.into()),
                r#async: Some(true),
            };
            let given = Given {
                from: from.host.clone(),
                host: target.host.clone(),
                bytes: block.bytes,
                asked_at: Instant::now(),
            };
            self.given.borrow_mut().insert(block.id, given);
            connection
                .call(async |session| {
                    let mut client = BlockWorkerClient::new(session.channel.clone());
                    client.cache(session.request(request.clone())).await
                })
                .await?;
        }
        Ok(())
    }

    async fn connection(&self, worker: &Worker) -> Result<Rc<Connection>, Failure> {
        let address = match worker.address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{}", worker.rpc_port),
            Err(_) => format!("{}:{}", worker.address, worker.rpc_port),
        };
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(&address) {
            return Ok(Rc::clone(connection));
        }
        let connection = Connection::new(Role::Worker, vec![address.clone()], self.login.clone())
            .map_err(|bad| Failure::unreachable("an Alluxio worker has no usable address", bad))?;
        if connections.len() == MOST_CONNECTIONS {
            connections.clear();
        }
        let connection = Rc::new(connection);
        connections.insert(address, Rc::clone(&connection));
        Ok(connection)
    }
}

/// Any number below that; 0 where there is none.
fn any_below(count: usize) -> usize {
    let (any, _) = Uuid::new_v4().as_u64_pair();
    usize::try_from(any % count.max(1) as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(host: &str, free: u64) -> Worker {
        Worker {
            host: host.into(),
            address: host.into(),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: 100,
            used_bytes: 100 - free,
            last_contact_seconds: 0,
        }
    }

    fn targets(workers: Vec<Worker>) -> Targets {
        Targets {
            next: 0,
            ..Targets::new(workers)
        }
    }

    fn hosts(targets: &Targets, bytes: u64) -> Vec<String> {
        let workers = targets.in_turn(bytes, "here").into_iter();
        workers.map(|worker| worker.host).collect()
    }

    #[test]
    fn workers_with_room_take_turns_before_fuller_ones() {
        let mut targets = targets(vec![
            worker("a", 50),
            worker("full", 0),
            worker("here", 100),
            worker("b", 50),
            worker("c", 5),
        ]);
        assert_eq!(hosts(&targets, 20), ["a", "b", "c", "full"]);
        targets.turn("a");
        assert_eq!(hosts(&targets, 20), ["b", "a", "c", "full"]);
        targets.remove("b");
        assert_eq!(hosts(&targets, 20), ["a", "c", "full"]);
    }

    #[test]
    fn a_worker_out_of_service_takes_no_copy() {
        let gone = Worker {
            state: WorkerState::Decommissioned,
            ..worker("gone", 100)
        };
        assert_eq!(
            hosts(&targets(vec![worker("here", 100), gone]), 20),
            [] as [&str; 0]
        );
        assert_eq!(hosts(&targets(vec![]), 20), [] as [&str; 0]);
    }

    #[test]
    fn few_workers_are_looked_at_in_a_large_cluster() {
        let many = (0..500).map(|number| worker(&format!("w{number}"), 50)).collect();
        assert_eq!(hosts(&targets(many), 20).len(), MOST_LOOKED_AT);
    }

    fn block(id: i64, bytes: u64) -> Block {
        Block {
            id,
            bytes,
            hosts: vec!["here".to_owned()],
            known: true,
        }
    }

    fn room(free: u64) -> Room {
        let directory = Directory {
            capacity_bytes: free,
            used_bytes: 0,
        };
        Room::of(&[directory], 0)
    }

    #[test]
    fn blocks_are_spread_over_workers_as_they_fit() {
        let blocks: Vec<_> = (0..4).map(|id| block(id, 10)).collect();
        let mut placing = Placing {
            left: blocks.iter().collect(),
            placed: Vec::new(),
            rooms: HashMap::new(),
            not_yet: None,
        };
        placing.give(&worker("a", 0), room(25));
        placing.give(&worker("b", 0), room(5));
        placing.give(&worker("c", 0), room(15));
        let placed: Vec<_> = placing
            .placed
            .iter()
            .map(|(worker, blocks)| (worker.host.as_str(), blocks.len()))
            .collect();
        assert_eq!((placed, placing.left_bytes()), (vec![("a", 2), ("c", 1)], 10));
        placing.take_back(&worker("a", 0));
        let ids: Vec<_> = placing.left.iter().map(|block| block.id).collect();
        assert_eq!((ids, placing.placed.len()), (vec![0, 1, 3], 1));
    }

    #[test]
    fn what_is_on_its_way_takes_room_until_it_is_seen() {
        let copies = Copies::new(Login::NoSasl);
        let given = Given {
            from: "here".to_owned(),
            host: "a".to_owned(),
            bytes: 10,
            asked_at: Instant::now(),
        };
        copies.given.borrow_mut().insert(1, given);
        let directories = [Directory {
            capacity_bytes: 40,
            used_bytes: 0,
        }];
        let from = worker("here", 0);
        let fits = |host: &str, under_way, bytes| {
            let wish = CopyWish {
                path: "/a",
                from: &from,
                listed: None,
                under_way,
                namespace: "alluxio",
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            copies.room(&worker(host, 0), &directories, &wish).take(bytes)
        };
        assert!(fits("a", 10, 30) && !fits("a", 10, 31), "asked of this worker");
        assert!(fits("b", 10, 40), "asked of another");
        assert!(
            fits("b", 15, 35) && !fits("b", 15, 36),
            "asked by nobody knows whom"
        );
        let seen = FileState {
            blocks: vec![Block {
                hosts: vec!["a".to_owned()],
                ..block(1, 10)
            }],
            ..FileState::default()
        };
        copies.saw(&seen);
        assert!(fits("a", 0, 40));
    }
}
