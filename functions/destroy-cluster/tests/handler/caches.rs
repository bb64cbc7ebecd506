//! The caches of the small world.

use tidegate_domain::cache::{
    Block, FileState, HeldBlock, Stores, Worker, WorkerFile, WorkerFilePage, WorkerLoad, WorkerState,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Copied, CopyTargets, CopyWish, WorkerReport,
};

use crate::world::{File, ONE, World};

fn worker(host: &str, state: WorkerState) -> Worker {
    Worker {
        host: host.to_owned(),
        address: host.to_owned(),
        rpc_port: 29_999,
        web_port: 30_000,
        state,
        capacity_bytes: 1 << 40,
        used_bytes: 1,
        last_contact_seconds: 0,
    }
}

impl WorkerReport for World {
    async fn every_worker(&self) -> Result<Vec<Worker>> {
        let state = self.0.borrow();
        if !state.alluxio {
            return Err(Error::new(
                ErrorName::AlluxioUnavailable,
                "no Alluxio master answers",
            ));
        }
        Ok(state
            .workers
            .iter()
            .map(|(host, state)| worker(host, *state))
            .collect())
    }
}

impl CacheMaster for World {
    async fn worker(&self, _: &str) -> Result<Option<Worker>> {
        panic!("not asked for")
    }

    async fn lost_storage(&self, _: &str) -> Result<Vec<String>> {
        panic!("not asked for")
    }

    async fn file(&self, path: &str) -> Result<Option<FileState>> {
        let state = self.0.borrow();
        Ok(state.files.get(path).map(|file| {
            let live = |host: &&&str| state.workers.get(**host) == Some(&WorkerState::Live);
            let block = |(id, hosts): (i64, &Vec<&str>)| Block {
                id,
                bytes: 10,
                hosts: hosts.iter().filter(live).map(ToString::to_string).collect(),
                known: true,
            };
            FileState {
                path: path.to_owned(),
                length: file.blocks.len() as u64 * 10,
                completed: file.completed,
                persisted: file.persisted,
                persisting: false,
                folder: false,
                blocks: (1..).zip(&file.blocks).map(block).collect(),
                modified_at: file.completed_at,
            }
        }))
    }

    async fn stores(&self) -> Result<Stores> {
        Ok(Stores {
            blacklist: vec!["_temporary".into()],
            mounts: [("/".to_owned(), false)].into(),
            ..Stores::default()
        })
    }

    async fn persist(&self, path: &str) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        state.did.push(format!("persist {path}"));
        if let Some(file) = state.files.get_mut(path) {
            file.asked = true;
        }
        Ok(Changed::Done)
    }

    async fn copy(&self, _: &CopyWish<'_>, _: &impl CopyTargets) -> Result<Copied> {
        panic!("there is no other worker to copy to")
    }

    async fn decommission(&self, worker: &Worker) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        if let Some(path) = state.races.take() {
            let file = File {
                blocks: vec![vec![ONE]],
                completed_at: state.now,
                persisted: false,
                completed: true,
                asked: false,
            };
            state.files.insert(path.to_owned(), file);
        }
        state.did.push(format!("decommission {}", worker.host));
        for (host, seen) in &mut state.workers {
            if *host == worker.host {
                *seen = WorkerState::Decommissioned;
            }
        }
        Ok(Changed::Done)
    }
}

impl CacheWorker for World {
    async fn files(&self, worker: &Worker, _: u64, _: u32) -> Result<Option<WorkerFilePage>> {
        let state = self.0.borrow();
        let held = |file: &File| -> Vec<_> {
            let blocks = (1..).zip(&file.blocks);
            blocks
                .filter(|(_, hosts)| hosts.contains(&worker.host.as_str()))
                .map(|(id, _)| HeldBlock { id, bytes: 10 })
                .collect()
        };
        let files: Vec<_> = state
            .files
            .iter()
            .map(|(path, file)| WorkerFile {
                path: path.clone(),
                persisted: file.persisted,
                pinned: false,
                blocks: held(file),
            })
            .filter(|file| !file.blocks.is_empty())
            .collect();
        Ok(Some(WorkerFilePage {
            total: files.len() as u64,
            looked: files.len() as u64,
            files,
        }))
    }

    async fn load(&self, _: &Worker) -> Result<Option<WorkerLoad>> {
        let operations = u64::from(self.0.borrow().busy);
        Ok(Some(WorkerLoad {
            operations,
            active_reads: 0,
            active_writes: 0,
        }))
    }
}
