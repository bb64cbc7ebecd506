//! Files in Alluxio, through its own client.

use reqwest::Method;
use serde_json::Value;

use super::{Group, World};

/// How Alluxio writes a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteType {
    /// Cache only.
    MustCache,
    /// Cache now, under store when somebody asks: nothing does here.
    AsyncThrough,
    /// Both.
    CacheThrough,
}

impl WriteType {
    const fn name(self) -> &'static str {
        match self {
            Self::MustCache => "MUST_CACHE",
            Self::AsyncThrough => "ASYNC_THROUGH",
            Self::CacheThrough => "CACHE_THROUGH",
        }
    }
}

/// What was written, to be compared with what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) path: String,
    pub(crate) sha256: String,
}

fn content(path: &str, answer: &Value) -> Content {
    Content {
        path: path.to_owned(),
        sha256: answer["sha256"].as_str().expect("sha256").to_owned(),
    }
}

fn hosts(answer: &Value) -> Vec<String> {
    let workers = answer["workers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    workers
        .iter()
        .filter_map(|worker| worker["host"].as_str().map(ToOwned::to_owned))
        .collect()
}

impl World {
    async fn files(&self, method: Method, route: &str, query: &[(&str, &str)]) -> Value {
        self.ask(method, &format!("{}{route}", self.endpoints.files), query)
            .await
    }

    /// Writes a file of 4 MB; its only copy in the cache is on that worker.
    pub(crate) async fn write(&self, path: &str, write_type: WriteType, host: &str) -> Content {
        self.write_bytes(path, write_type, host, 4 << 20).await
    }

    /// Writes a file that a worker is never done with while its reader stands still: up to 16 MB go to the client
    /// before it asks for them, and the worker takes the read for ended.
    pub(crate) async fn write_large(&self, path: &str, write_type: WriteType, host: &str) -> Content {
        self.write_bytes(path, write_type, host, 64 << 20).await
    }

    /// Writes a file of 64 blocks that only the cache has, each on any worker in service.
    pub(crate) async fn write_spread(&self, path: &str) {
        let (bytes, block_bytes) = ((4 << 20).to_string(), (64 << 10).to_string());
        let query = [
            ("path", path),
            ("writeType", WriteType::MustCache.name()),
            ("bytes", &bytes),
            ("blockBytes", &block_bytes),
        ];
        self.files(Method::POST, "/files", &query).await;
    }

    async fn write_bytes(&self, path: &str, write_type: WriteType, host: &str, bytes: u32) -> Content {
        // Another content for each path, so that a file that was mixed up with another is noticed.
        let seed = path
            .bytes()
            .fold(7_u32, |seed, byte| {
                seed.wrapping_mul(31).wrapping_add(byte.into())
            })
            .to_string();
        let query = [
            ("path", path),
            ("writeType", write_type.name()),
            ("worker", host),
            ("bytes", &bytes.to_string()),
            ("seed", &seed),
        ];
        content(path, &self.files(Method::POST, "/files", &query).await)
    }

    /// Begins a file on that worker and leaves it open; answers its id.
    pub(crate) async fn open(&self, path: &str, write_type: WriteType, host: &str) -> String {
        let query = [("path", path), ("writeType", write_type.name()), ("worker", host)];
        let answer = self.files(Method::POST, "/files/open", &query).await;
        answer["id"]
            .as_str()
            .map_or_else(|| answer["id"].to_string(), ToOwned::to_owned)
    }

    /// Adds so many bytes to an open file.
    pub(crate) async fn add(&self, id: &str, bytes: u32) {
        let bytes = bytes.to_string();
        self.files(
            Method::POST,
            "/files/write",
            &[("id", id), ("bytes", &bytes), ("seed", "7")],
        )
        .await;
    }

    /// Ends an open file.
    pub(crate) async fn close(&self, id: &str, path: &str) -> Content {
        content(
            path,
            &self.files(Method::POST, "/files/close", &[("id", id)]).await,
        )
    }

    /// Reads files back through Alluxio; fails unless each is what was written.
    pub(crate) async fn expect_intact(&self, files: &[Content]) {
        Group::wait_for_the_one_that_stays(self).await;
        self.expect_read(files).await;
    }

    /// The same, by the workers that are there.
    pub(crate) async fn expect_read(&self, files: &[Content]) {
        for file in files {
            let answer = self
                .files(
                    Method::GET,
                    "/files/checksum",
                    &[("path", &file.path), ("timeoutSeconds", "60")],
                )
                .await;
            assert_eq!(content(&file.path, &answer), *file, "{answer}");
        }
    }

    /// The hosts of the workers in service, once a master answers.
    pub(crate) async fn live_workers(&self) -> Result<Vec<String>, String> {
        let url = format!("{}/workers", self.endpoints.files);
        let answer = self.http.get(&url).query(&[("range", "LIVE")]).send().await;
        let answer = answer.expect("the files server answers");
        if !answer.status().is_success() {
            return Err(answer.text().await.unwrap_or_default());
        }
        Ok(hosts(&answer.json().await.expect("JSON")))
    }

    /// The hosts of the workers in that range (`LIVE`, `DECOMMISSIONED`, ...).
    pub(crate) async fn worker_hosts(&self, range: &str) -> Vec<String> {
        hosts(&self.files(Method::GET, "/workers", &[("range", range)]).await)
    }

    /// Takes a worker out of service for good, as `alluxio fsadmin decommissionWorker --disable` does.
    pub(crate) async fn disable_worker(&self, host: &str) {
        let query = [("host", host), ("forGood", "true")];
        self.files(Method::POST, "/workers/decommission", &query).await;
    }

    /// Begins to read a file (a large one, [`Self::write_large`]) and stands still; answers the reader's id.
    pub(crate) async fn open_reader(&self, path: &str) -> String {
        let answer = self
            .files(Method::POST, "/files/read/open", &[("path", path)])
            .await;
        let id = answer["id"]
            .as_str()
            .map_or_else(|| answer["id"].to_string(), ToOwned::to_owned);
        self.files(
            Method::POST,
            "/files/read/next",
            &[("id", &id), ("bytes", "1024")],
        )
        .await;
        id
    }

    /// Ends a reader.
    pub(crate) async fn close_reader(&self, id: &str) {
        self.files(Method::POST, "/files/read/close", &[("id", id)]).await;
    }
}
