//! Copies of blocks on other workers, made by asking those workers to cache them from the one that has them.
//!
//! This is what clients do when they read from a worker that is not near. It is used in place of Alluxio's own
//! replication (`replicationMin`), which needs write permission on the file and a living job worker, pins the file for
//! good, takes up to a minute to begin, and is given once for each block: the job master of 2.9.6 refuses a second job
//! for a block ("There is `SetReplica` job running") long after the first has ended or failed. And the master can
//! replicate nothing whose only copy is on a worker out of service, which still answers reads.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidegate_domain::cache::{Block, Worker, WorkerState};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::connection::{Connection, Role};
use crate::error::Failure;
use crate::login::Login;
use crate::proto::block::CacheRequest;
use crate::proto::block::block_worker_client::BlockWorkerClient;

/// So many blocks of a file go to the same worker before the next one is taken: a file of one block makes one
/// connection, a file of a thousand does not fill a worker.
const BLOCKS_A_TARGET: usize = 64;
/// So many workers may fail to answer before the call does. The master holds a worker that is gone for one in service
/// until `alluxio.master.worker.timeout`.
const MOST_FAILURES: usize = 3;
/// For so long a list of workers is good. It is as long as the cluster is large, and a pass copies many files.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// So many connections to workers are kept.
const MOST_CONNECTIONS: usize = 16;

/// Workers that may take copies.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    listed_at: Instant,
    workers: Vec<Worker>,
    next: usize,
}

impl Targets {
    /// Of these workers, those in service. Begins with any of them, so that many callers do not all take the same.
    pub(crate) fn new(workers: Vec<Worker>) -> Self {
        let workers: Vec<_> = workers
            .into_iter()
            .filter(|worker| worker.state == WorkerState::Live)
            .collect();
        let (any, _) = Uuid::new_v4().as_u64_pair();
        let next = usize::try_from(any % workers.len().max(1) as u64).unwrap_or_default();
        Self {
            listed_at: Instant::now(),
            workers,
            next,
        }
    }

    pub(crate) fn fresh(&self) -> bool {
        self.listed_at.elapsed() < LIST_LIMIT
    }

    /// The next worker that has room, or else the one with the most of it, which makes room by evicting what was used
    /// least recently, as for any write. Never `except`.
    fn take(&mut self, bytes: u64, except: &str) -> Option<Worker> {
        let free = |worker: &Worker| worker.capacity_bytes.saturating_sub(worker.used_bytes);
        let count = self.workers.len();
        let others = (0..count)
            .map(|step| (self.next + step) % count)
            .filter(|&index| self.workers[index].host != except);
        let index = others
            .clone()
            .find(|&index| free(&self.workers[index]) >= bytes)
            .or_else(|| others.max_by_key(|&index| free(&self.workers[index])))?;
        self.next = (index + 1) % count;
        let worker = &mut self.workers[index];
        worker.used_bytes = worker.used_bytes.saturating_add(bytes);
        Some(worker.clone())
    }

    fn remove(&mut self, host: &str) {
        self.workers.retain(|worker| worker.host != host);
    }
}

/// The connections to workers.
pub(crate) struct Copies {
    login: Login,
    connections: Mutex<HashMap<String, Rc<Connection>>>,
}

impl Copies {
    /// Connects nowhere yet. Workers want the login that the master wants.
    pub(crate) fn new(login: Login) -> Self {
        Self {
            login,
            connections: Mutex::default(),
        }
    }

    /// Asks workers of `targets` to cache these blocks from that worker; answers whether there was any worker to ask.
    /// They do it in the background. A worker that does not answer is taken out of `targets`.
    pub(crate) async fn ask(
        &self,
        blocks: &[&Block],
        from: &Worker,
        targets: &mut Targets,
    ) -> Result<bool, Failure> {
        let mut failures = 0;
        for part in blocks.chunks(BLOCKS_A_TARGET) {
            let bytes = part.iter().map(|block| block.bytes).sum();
            loop {
                let Some(target) = targets.take(bytes, &from.host) else {
                    return Ok(false);
                };
                match self.ask_one(part, from, &target).await {
                    Ok(()) => break,
                    Err(failure) if failures + 1 == MOST_FAILURES || !failure.is_unreachable() => {
                        return Err(failure);
                    }
                    Err(failure) => {
                        tracing::debug!(
                            worker.host = target.host,
                            ?failure,
                            "Alluxio worker takes no copy"
                        );
                        targets.remove(&target.host);
                        failures += 1;
                    }
                }
            }
        }
        Ok(true)
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

    fn taken(targets: &mut Targets, bytes: u64) -> Option<String> {
        targets.take(bytes, "here").map(|worker| worker.host)
    }

    #[test]
    fn copies_go_round_the_workers_that_have_room() {
        let mut targets = targets(vec![
            worker("a", 50),
            worker("full", 0),
            worker("here", 100),
            worker("b", 50),
        ]);
        let hosts: Vec<_> = (0..4).filter_map(|_| taken(&mut targets, 20)).collect();
        assert_eq!(hosts, ["a", "b", "a", "b"]);
    }

    #[test]
    fn where_none_has_room_the_emptiest_makes_some() {
        let mut targets = targets(vec![worker("a", 5), worker("b", 15), worker("here", 100)]);
        assert_eq!(taken(&mut targets, 20).as_deref(), Some("b"));
    }

    #[test]
    fn the_worker_that_holds_the_blocks_and_those_out_of_service_take_no_copy() {
        let gone = Worker {
            state: WorkerState::Decommissioned,
            ..worker("gone", 100)
        };
        let mut targets = targets(vec![worker("here", 100), gone]);
        assert_eq!(taken(&mut targets, 20), None);
        assert_eq!(taken(&mut Targets::new(vec![]), 20), None);
    }

    #[test]
    fn a_worker_that_did_not_answer_is_not_asked_again() {
        let mut targets = targets(vec![worker("a", 50), worker("b", 50)]);
        targets.remove("a");
        assert_eq!(taken(&mut targets, 20).as_deref(), Some("b"));
        assert_eq!(taken(&mut targets, 20).as_deref(), Some("b"));
    }
}
