//! What a worker's web port answers. Only what is used is kept; the rest is skipped as it is read.

use std::collections::HashMap;

use serde::Deserialize;
use tidegate_domain::cache::{Directory, HeldBlock, Worker, WorkerFile, WorkerFilePage, WorkerLoad};
use tidegate_domain::error::{Error, ErrorName, Result};

/// `WorkerWebUIBlockInfo`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockInfo {
    #[serde(alias = "nTotalFile", default)]
    ntotal_file: u64,
    file_infos: Option<Vec<FileInfo>>,
    fatal_error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileInfo {
    absolute_path: String,
    persistence_state: String,
    #[serde(default)]
    pinned: bool,
    /// By tier alias, the blocks on this worker; `blockIds` has all of the file's.
    #[serde(default)]
    blocks_on_tier: HashMap<String, Vec<FileBlockInfo>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileBlockInfo {
    id: i64,
    #[serde(default)]
    block_length: i64,
}

/// Reads a page of `webui_blockinfo` that was asked for with that offset and limit.
pub(crate) fn block_info(worker: &Worker, offset: u64, limit: u64, body: &[u8]) -> Result<WorkerFilePage> {
    let info: BlockInfo = parsed(worker, "webui_blockinfo", body)?;
    let total = info.ntotal_file;
    // What the worker cannot name it leaves out without a word, and without going further for it.
    let looked = total.saturating_sub(offset).min(limit);
    let page = |files| WorkerFilePage { total, looked, files };
    match (info.file_infos, info.fatal_error.as_deref()) {
        (Some(files), Some("")) => Ok(page(files.into_iter().map(listed).collect())),
        // The worker's list has become shorter than the offset, which it takes for a mistake in the range.
        (None, Some(_)) if offset > total => Ok(page(Vec::new())),
        // With the file information switched off it answers an empty object: that is no empty worker.
        (None, None) => Err(Error::new(
            ErrorName::AlluxioRefused,
            format!(
                "Alluxio worker {} does not list its files: set alluxio.web.file.info.enabled to true on the workers",
                worker.host
            ),
        )),
        (_, error) => Err(defect(
            worker,
            "webui_blockinfo",
            error.unwrap_or("no fatalError"),
        )),
    }
}

fn listed(file: FileInfo) -> WorkerFile {
    WorkerFile {
        persisted: file.persistence_state == "PERSISTED",
        path: file.absolute_path,
        pinned: file.pinned,
        blocks: file.blocks_on_tier.values().flatten().map(held).collect(),
    }
}

fn held(block: &FileBlockInfo) -> HeldBlock {
    HeldBlock {
        id: block.id,
        bytes: not_negative(block.block_length),
    }
}

/// `WorkerWebUIOverview`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    storage_dirs: Vec<StorageDir>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageDir {
    capacity_bytes: i64,
    used_bytes: i64,
}

/// Reads the overview.
pub(crate) fn directories(worker: &Worker, body: &[u8]) -> Result<Vec<Directory>> {
    let overview: Overview = parsed(worker, "webui_overview", body)?;
    let directories = overview.storage_dirs.into_iter();
    Ok(directories
        .map(|directory| Directory {
            capacity_bytes: not_negative(directory.capacity_bytes),
            used_bytes: not_negative(directory.used_bytes),
        })
        .collect())
}

/// `WorkerWebUIOperations`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operations {
    operation_count: i64,
    rpc_queue_length: i64,
}

/// The metrics registry as Dropwizard writes it.
#[derive(Debug, Deserialize)]
struct Metrics {
    counters: HashMap<String, Counter>,
}

#[derive(Debug, Deserialize)]
struct Counter {
    count: i64,
}

/// Reads both pages.
pub(crate) fn load(worker: &Worker, operations: &[u8], metrics: &[u8]) -> Result<WorkerLoad> {
    let operations: Operations = parsed(worker, "operations", operations)?;
    let metrics: Metrics = parsed(worker, "metrics", metrics)?;
    Ok(WorkerLoad {
        operations: not_negative(operations.operation_count) + not_negative(operations.rpc_queue_length),
        active_reads: metrics.count("ActiveRpcReadCount"),
        active_writes: metrics.count("ActiveRpcWriteCount"),
    })
}

impl Metrics {
    /// A counter by its bare name, 0 where nothing has been counted yet. Its full name begins with the type of the
    /// process (`Worker.`, or another where several run in one) and ended with the host name up to 2.9.4.
    fn count(&self, name: &str) -> u64 {
        let counters = self
            .counters
            .iter()
            .filter(|(full, _)| full.split('.').nth(1) == Some(name));
        counters.map(|(_, counter)| not_negative(counter.count)).sum()
    }
}

/// Counters that are raised and lowered by different threads may be seen below 0.
fn not_negative(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

fn parsed<'a, T: Deserialize<'a>>(worker: &Worker, page: &str, body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| defect(worker, page, &error.to_string()))
}

fn defect(worker: &Worker, page: &str, what: &str) -> Error {
    Error::new(
        ErrorName::Defect,
        format!(
            "Alluxio worker {} answered {page} with something unexpected: {what}",
            worker.host
        ),
    )
}

#[cfg(test)]
mod tests {
    use tidegate_domain::cache::WorkerState;

    use super::*;

    fn worker() -> Worker {
        Worker {
            host: "10.0.0.7".into(),
            address: "10.0.0.7".into(),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: 0,
            used_bytes: 0,
            last_contact_seconds: 0,
        }
    }

    fn page(offset: u64, body: &str) -> Result<WorkerFilePage> {
        block_info(&worker(), offset, 100, body.as_bytes())
    }

    #[test]
    fn a_page_keeps_paths_as_they_are_and_whether_they_are_persisted() {
        // From a worker of 2.9.6.
        let body = r#"{"path":null,"invalidPathError":"","ntotalFile":3,"fileInfos":[
            {"name":"a b.txt","id":33554431,"size":"1000B","absolutePath":"/a \"b\"/日本%20+.txt","mode":"-rw-r--r--",
             "persistenceState":"NOT_PERSISTED","pinned":true,"blockIds":[16777216,16777217],"blocksOnTier":{"SSD":[
             {"isInHighestTier":true,"locations":[],"lastAccessTimeMs":-1,"id":16777216,"blockLength":1000}]}},
            {"absolutePath":"/p","persistenceState":"PERSISTED"}],
            "fatalError":"","fileBlocksOnTier":null,"orderedTierAliases":["SSD"]}"#;
        let listed = page(0, body).expect("valid");
        assert_eq!((listed.total, listed.looked), (3, 3));
        let files: Vec<_> = listed
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.persisted))
            .collect();
        assert_eq!(files, [("/a \"b\"/日本%20+.txt", false), ("/p", true)]);
        let held = HeldBlock {
            id: 16_777_216,
            bytes: 1_000,
        };
        assert_eq!(listed.files[0].blocks, [held], "only what is on this worker");
        assert!(listed.files[0].pinned && !listed.files[1].pinned);
    }

    #[test]
    fn a_page_covers_what_the_worker_could_not_name_too() {
        let nameless = r#"{"ntotalFile":250,"fileInfos":[],"fatalError":""}"#;
        for (offset, looked) in [(0, 100), (200, 50), (250, 0)] {
            assert_eq!(page(offset, nameless).expect("valid").looked, looked, "{offset}");
        }
    }

    #[test]
    fn a_page_past_the_end_is_empty() {
        let body = r#"{"ntotalFile":10,"fileInfos":null,"fatalError":"fromIndex(11) > toIndex(10)"}"#;
        assert_eq!(
            page(11, body).expect("valid"),
            WorkerFilePage {
                total: 10,
                looked: 0,
                files: vec![]
            }
        );
        assert_eq!(
            page(0, body).expect_err("within the list").name,
            ErrorName::Defect
        );
    }

    #[test]
    fn a_worker_that_is_told_not_to_list_its_files_is_never_taken_for_an_empty_one() {
        let body =
            r#"{"path":null,"invalidPathError":null,"ntotalFile":0,"fileInfos":null,"fatalError":null}"#;
        let error = page(0, body).expect_err("no list");
        assert_eq!(error.name, ErrorName::AlluxioRefused);
        assert!(error.message.contains("alluxio.web.file.info.enabled"), "{error}");
    }

    #[test]
    fn what_is_no_page_of_files_is_a_defect() {
        for body in [
            "",
            "[]",
            "<html>",
            r#"{"ntotalFile":1,"fileInfos":[{"id":1}],"fatalError":""}"#,
        ] {
            assert_eq!(page(0, body).expect_err(body).name, ErrorName::Defect, "{body}");
        }
    }

    #[test]
    fn the_overview_tells_what_is_used_of_each_directory() {
        // From a worker of 2.9.6.
        let body = r#"{"version":"2.9.6","storageDirs":[
            {"capacityBytes":10,"dirPath":"/x","usedBytes":3,"tierAlias":"SSD"},
            {"capacityBytes":20,"dirPath":"/y","usedBytes":0,"tierAlias":"SSD"}],"capacityBytes":"30B"}"#;
        let told = directories(&worker(), body.as_bytes()).expect("valid");
        let told: Vec<_> = told
            .iter()
            .map(|directory| (directory.capacity_bytes, directory.used_bytes))
            .collect();
        assert_eq!(told, [(10, 3), (20, 0)]);
        assert!(directories(&worker(), b"{}").is_err());
    }

    fn loaded(counters: &str) -> WorkerLoad {
        let metrics =
            format!(r#"{{"version":"4.0.0","gauges":{{"a":{{"value":"NaN"}}}},"counters":{counters}}}"#);
        load(
            &worker(),
            br#"{"operationCount":2,"rpcQueueLength":1}"#,
            metrics.as_bytes(),
        )
        .expect("valid")
    }

    #[test]
    fn the_load_is_read_with_and_without_a_host_name_and_for_any_type_of_process() {
        for counters in [
            r#"{"Worker.ActiveRpcReadCount":{"count":3},"Worker.ActiveRpcWriteCount":{"count":4}}"#,
            r#"{"Worker.ActiveRpcReadCount.10_0_0_7":{"count":3},"Worker.ActiveRpcWriteCount.10_0_0_7":{"count":4}}"#,
            r#"{"JobWorker.ActiveRpcReadCount":{"count":3},"JobWorker.ActiveRpcWriteCount":{"count":4}}"#,
        ] {
            assert_eq!(
                loaded(counters),
                WorkerLoad {
                    operations: 3,
                    active_reads: 3,
                    active_writes: 4
                }
            );
        }
    }

    #[test]
    fn a_worker_that_has_served_nobody_yet_has_no_counters() {
        let load = loaded(r#"{"Worker.ActiveOperations":{"count":0}}"#);
        assert_eq!((load.active_reads, load.active_writes), (0, 0));
    }

    #[test]
    fn a_counter_below_zero_is_zero() {
        assert_eq!(
            loaded(r#"{"Worker.ActiveRpcReadCount":{"count":-1}}"#).active_reads,
            0
        );
    }
}
