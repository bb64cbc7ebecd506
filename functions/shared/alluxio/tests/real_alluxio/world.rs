//! The local world as these tests use it: its master, its files server, its network.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::Value;
use tidegate_alluxio::{AlluxioMaster, AlluxioWorkers, Login};
use tidegate_domain::cache::{FileState, Worker, WorkerFile};
use tidegate_domain::ports::{CacheMaster, CacheWorker};

/// The user that runs Alluxio in the local world, and so may do everything.
pub(crate) const ADMINISTRATOR: &str = "alluxio";

/// What `endpoints.json` tells, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoints {
    alluxio_masters: String,
    files: String,
    network: String,
}

/// The running local world.
pub(crate) struct World {
    endpoints: Endpoints,
    client: Client,
}

impl World {
    /// Fails with one sentence where there is none.
    pub(crate) fn running() -> Self {
        let variable = "TIDEGATE_WORLD_ENDPOINTS";
        let file = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} must name the endpoints.json of a running local world"));
        let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{variable} names {file}: {error}"));
        let endpoints = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self {
            endpoints,
            client: Client::builder().no_proxy().build().expect("a client"),
        }
    }

    /// `host:port` of its master.
    pub(crate) fn master_address(&self) -> &str {
        &self.endpoints.alluxio_masters
    }

    /// An address of the world's network that is in no subnet and that no other test uses: neither of this process nor
    /// of another that was started together with it.
    pub(crate) fn address(&self) -> String {
        static TAKEN: AtomicU8 = AtomicU8::new(0);
        let third = 100 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let octets: Vec<_> = self.endpoints.network.split(['.', '/']).collect();
        format!(
            "{}.{}.{third}.{}",
            octets[0],
            octets[1],
            1 + std::process::id() % 250
        )
    }

    /// The master, logged in to as that user.
    pub(crate) fn master_as(&self, user: &str) -> AlluxioMaster {
        let login = Login::Simple {
            user: user.to_owned(),
        };
        AlluxioMaster::new(vec![self.master_address().to_owned()], login).expect("a master")
    }

    /// The master, logged in to as its administrator.
    pub(crate) fn master(&self) -> AlluxioMaster {
        self.master_as(ADMINISTRATOR)
    }

    /// Calls the files server.
    async fn files(&self, method: Method, route: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}{route}", self.endpoints.files);
        let answer = self
            .client
            .request(method, url)
            .query(query)
            .send()
            .await
            .expect("the files server answers");
        let status = answer.status();
        let body = answer.text().await.expect("a body");
        assert!(
            status.is_success(),
            "the files server answered {route} {query:?} with {status}: {body}"
        );
        serde_json::from_str(&body).expect("JSON")
    }

    /// Writes a whole file to that worker.
    pub(crate) async fn write(&self, path: &str, write_type: &str, worker: &str, bytes: u64) {
        let bytes = bytes.to_string();
        let query = [
            ("path", path),
            ("writeType", write_type),
            ("worker", worker),
            ("bytes", &bytes),
        ];
        self.files(Method::POST, "/files", &query).await;
    }

    /// Writes a file that only the cache has to that worker, in blocks of so many bytes.
    pub(crate) async fn write_blocks(
        &self,
        path: &str,
        write_type: &str,
        worker: &str,
        blocks: u64,
        each: u64,
    ) {
        let (bytes, each) = ((blocks * each).to_string(), each.to_string());
        let query = [
            ("path", path),
            ("writeType", write_type),
            ("worker", worker),
            ("bytes", &bytes),
            ("blockBytes", &each),
        ];
        self.files(Method::POST, "/files", &query).await;
    }

    /// Begins a file on that worker in blocks of so many bytes, and leaves it open with one and a half of them in it.
    pub(crate) async fn begin_blocks(&self, path: &str, worker: &str, each: u64) {
        let (bytes, each) = ((each * 3 / 2).to_string(), each.to_string());
        let query = [
            ("path", path),
            ("writeType", "MUST_CACHE"),
            ("worker", worker),
            ("blockBytes", &each),
        ];
        let opened = self.files(Method::POST, "/files/open", &query).await;
        let id = opened["id"].as_str().expect("an id").to_owned();
        self.files(Method::POST, "/files/write", &[("id", &id), ("bytes", &bytes)])
            .await;
    }

    /// Makes a directory that others may do so much with.
    pub(crate) async fn make_directory(&self, path: &str, mode: &str) {
        self.files(Method::POST, "/files/mkdir", &[("path", path), ("mode", mode)])
            .await;
    }

    /// Begins a file on that worker, and leaves it open with some bytes in it; answers its id.
    pub(crate) async fn begin(&self, path: &str, worker: &str) -> String {
        let query = [("path", path), ("writeType", "MUST_CACHE"), ("worker", worker)];
        let opened = self.files(Method::POST, "/files/open", &query).await;
        let id = opened["id"].as_str().expect("an id").to_owned();
        self.files(Method::POST, "/files/write", &[("id", &id), ("bytes", "1000")])
            .await;
        id
    }

    /// Ends a file that was begun.
    pub(crate) async fn end(&self, id: &str) {
        self.files(Method::POST, "/files/close", &[("id", id)]).await;
    }

    /// Deletes a file.
    pub(crate) async fn delete(&self, path: &str) {
        self.files(Method::DELETE, "/files", &[("path", path)]).await;
    }
}

/// A path below the root that no other test uses.
pub(crate) fn path(name: &str) -> String {
    format!("/adapter-{}/{name}", std::process::id())
}

/// All files of a worker, read by pages of that size.
pub(crate) async fn all_files(worker: &Worker, page_size: u32) -> Vec<WorkerFile> {
    let workers = AlluxioWorkers::default();
    let mut files = Vec::new();
    let mut offset = 0;
    loop {
        let page = workers
            .files(worker, offset, page_size)
            .await
            .expect("a page")
            .expect("the worker answers");
        files.extend(page.files);
        offset += page.looked;
        if offset >= page.total {
            return files;
        }
    }
}

/// The state of a file that is there.
pub(crate) async fn status(master: &AlluxioMaster, path: &str) -> FileState {
    master
        .file(path)
        .await
        .expect("a status")
        .unwrap_or_else(|| panic!("{path} is gone"))
}

/// Looks again and again until there is an answer; fails after that many seconds.
pub(crate) async fn eventually<T>(what: &str, seconds: u64, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
