//! Workers, asked on their web port: [`CacheWorker`].

mod answers;
mod web_port;

use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join;
use tidegate_domain::cache::{Directory, Worker, WorkerFilePage, WorkerLoad};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::CacheWorker;

use web_port::{Answer, Http};

/// A page of the largest useful size takes a worker under load some seconds: it asks the master for each file.
const PAGE_DEADLINE: Duration = Duration::from_secs(10);
/// The pages about its load and its directories are in the worker's memory.
const LOAD_DEADLINE: Duration = Duration::from_secs(3);
/// An entry takes 700 bytes and 110 for each of its blocks: a page of 1000 files of one block is 0.8 MB, and one file
/// of 16,000 blocks (1 TB) is 1.8 MB. What is larger than this is asked for again by half.
const LARGEST_PAGE: usize = 8 * 1024 * 1024;
/// All metrics of a worker are 11 to 60 KB.
const LARGEST_LOAD: usize = 1024 * 1024;

/// Asks Alluxio workers for what they hold and do, over plain HTTP.
///
/// Connects when it is first asked. Cheap to share by reference. Holds one answer at a time for each call under way, at most 8 MB.
#[derive(Clone, Debug, Default)]
pub struct AlluxioWorkers {
    http: Http,
}

impl AlluxioWorkers {
    /// What is used of each of a worker's directories; none where it does not answer.
    pub(crate) async fn directories(&self, worker: &Worker) -> Result<Option<Vec<Directory>>> {
        let overview = self.loaded(worker, "/api/v1/worker/webui_overview").await?;
        overview
            .map(|body| answers::directories(worker, &body))
            .transpose()
    }

    async fn loaded(&self, worker: &Worker, path: &str) -> Result<Option<Bytes>> {
        match self
            .http
            .get(worker, path, &[], LOAD_DEADLINE, LARGEST_LOAD)
            .await?
        {
            Answer::Body(body) => Ok(Some(body)),
            Answer::Silence => Ok(None),
            Answer::TooLarge => Err(too_large(worker, path)),
        }
    }
}

impl CacheWorker for AlluxioWorkers {
    /// Entries `offset` to `offset + limit` of the worker's list, which is sorted by file id; fewer, where they are
    /// too large for one answer.
    ///
    /// The worker asks the master about each file: a page of 500 takes it about a second. A `limit` of 0 is taken for 1.
    async fn files(&self, worker: &Worker, offset: u64, limit: u32) -> Result<Option<WorkerFilePage>> {
        const PATH: &str = "/api/v1/worker/webui_blockinfo";
        let mut limit = u64::from(limit.max(1));
        loop {
            let query = [("offset", offset), ("limit", limit)];
            match self
                .http
                .get(worker, PATH, &query, PAGE_DEADLINE, LARGEST_PAGE)
                .await?
            {
                Answer::Body(body) => return answers::block_info(worker, offset, limit, &body).map(Some),
                Answer::Silence => return Ok(None),
                Answer::TooLarge if limit > 1 => limit /= 2,
                Answer::TooLarge => return Err(too_large(worker, PATH)),
            }
        }
    }

    async fn load(&self, worker: &Worker) -> Result<Option<WorkerLoad>> {
        let pages = try_join(
            self.loaded(worker, "/api/v1/worker/operations"),
            self.loaded(worker, "/metrics/json/"),
        );
        match pages.await? {
            (Some(operations), Some(metrics)) => answers::load(worker, &operations, &metrics).map(Some),
            _ => Ok(None),
        }
    }
}

fn too_large(worker: &Worker, path: &str) -> Error {
    Error::new(
        ErrorName::Defect,
        format!("Alluxio worker {} answers {path} with too much", worker.host),
    )
}
