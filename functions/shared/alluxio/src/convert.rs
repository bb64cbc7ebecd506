//! The master's messages as the domain's types.

use std::collections::HashMap;

use jiff::Timestamp;
use tidegate_domain::cache::{Block, FileState, Worker, WorkerState};
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::proto::block::WorkerInfo;
use crate::proto::file::FileInfo;
use crate::proto::{BlockInfo, WorkerNetAddress};

/// `BlockId.getMaxSequenceNumber`: the 24 bits of a block's number within its file.
const HIGHEST_BLOCK_NUMBER: i64 = 0xff_ffff;

/// `alluxio.master.WorkerState`, and the words of versions up to 2.9.3.
fn state(word: &str) -> Option<WorkerState> {
    match word.to_ascii_lowercase().as_str() {
        "active" | "in service" => Some(WorkerState::Live),
        "lost" | "out of service" => Some(WorkerState::Lost),
        "decommissioned" => Some(WorkerState::Decommissioned),
        "disabled" => Some(WorkerState::Disabled),
        _ => None,
    }
}

pub(crate) fn worker(info: &WorkerInfo) -> Result<Worker> {
    let Some(address) = &info.address else {
        return Err(defect(&format!("a worker without an address: {info:?}")));
    };
    let Some(state) = state(info.state()) else {
        return Err(defect(&format!(
            "worker {} in a state {:?}",
            address.host(),
            info.state()
        )));
    };
    Ok(Worker {
        host: address.host().to_owned(),
        address: reachable(address).to_owned(),
        rpc_port: port(address.host(), address.rpc_port())?,
        web_port: port(address.host(), address.web_port())?,
        state,
        capacity_bytes: count(info.capacity_bytes()),
        used_bytes: count(info.used_bytes()),
        last_contact_seconds: count(info.last_contact_sec().into()),
    })
}

pub(crate) fn file(info: FileInfo) -> FileState {
    let length = count(info.length());
    FileState {
        length,
        completed: info.completed(),
        persisted: info.persisted() || info.persistence_state() == "PERSISTED",
        persisting: info.persistence_state() == "TO_BE_PERSISTED",
        folder: info.folder(),
        blocks: blocks(&info, length),
        modified_at: Timestamp::from_millisecond(info.last_modification_time_ms()).unwrap_or_default(),
        path: info.path.unwrap_or_default(),
    }
}

/// The blocks that the file consists of, whether or not the master still knows each: it leaves those out of
/// `fileBlockInfos` whose metadata is gone.
fn blocks(info: &FileInfo, length: u64) -> Vec<Block> {
    let known: HashMap<_, _> = info
        .file_block_infos
        .iter()
        .filter_map(|block| block.block_info.as_ref())
        .map(|block| (block.block_id(), block))
        .collect();
    let size = count(info.block_size_bytes());
    let asked_for = if info.completed() && size > 0 {
        length.div_ceil(size)
    } else {
        0
    };
    let mut ids = info.block_ids.clone();
    if ids.is_empty() {
        // A master that does not tell them tells the blocks that it knows.
        ids.extend(
            info.file_block_infos
                .iter()
                .filter_map(|block| block.block_info.as_ref()?.block_id),
        );
    }
    // A block's id is its file's container with the block's number, and a file's id is its container with the highest.
    let container = info.file_id() & !HIGHEST_BLOCK_NUMBER;
    let last = i64::try_from(asked_for)
        .unwrap_or(HIGHEST_BLOCK_NUMBER)
        .min(HIGHEST_BLOCK_NUMBER);
    let counted = i64::try_from(ids.len()).unwrap_or(HIGHEST_BLOCK_NUMBER);
    ids.extend((counted..last).map(|number| container | number));
    let places = (0_u64..).map(|number| length.saturating_sub(number * size).min(size));
    ids.into_iter()
        .zip(places)
        .map(|(id, bytes)| match known.get(&id) {
            Some(block) => Block {
                id,
                bytes: count(block.length()),
                hosts: hosts(block),
                known: true,
            },
            None => Block {
                id,
                bytes,
                hosts: Vec::new(),
                known: false,
            },
        })
        .collect()
}

fn hosts(block: &BlockInfo) -> Vec<String> {
    let locations = block.locations.iter();
    locations
        .filter_map(|at| at.worker_address.as_ref()?.host.clone())
        .collect()
}

/// The pod's address where the worker runs in a network of its own.
fn reachable(address: &WorkerNetAddress) -> &str {
    match address.container_host() {
        "" => address.host(),
        container => container,
    }
}

fn port(host: &str, port: i32) -> Result<u16> {
    u16::try_from(port).map_err(|_| defect(&format!("worker {host} with a port {port}")))
}

/// Alluxio counts in signed numbers and means -1 by "unknown".
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn defect(what: &str) -> Error {
    Error::new(
        ErrorName::Defect,
        format!("the Alluxio master answered with {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::file::FileBlockInfo;
    use crate::proto::{BlockInfo, BlockLocation};

    fn address(host: &str) -> WorkerNetAddress {
        WorkerNetAddress {
            host: Some(host.to_owned()),
            rpc_port: Some(29_999),
            web_port: Some(30_000),
            container_host: Some(String::new()),
        }
    }

    fn info(word: &str) -> WorkerInfo {
        WorkerInfo {
            address: Some(address("10.0.0.7")),
            state: Some(word.to_owned()),
            ..WorkerInfo::default()
        }
    }

    #[test]
    fn the_state_is_read_in_the_words_of_every_2_9() {
        for (word, state) in [
            ("ACTIVE", WorkerState::Live),
            ("In Service", WorkerState::Live),
            ("LOST", WorkerState::Lost),
            ("Out of Service", WorkerState::Lost),
            ("Decommissioned", WorkerState::Decommissioned),
            ("Disabled", WorkerState::Disabled),
        ] {
            assert_eq!(worker(&info(word)).expect(word).state, state, "{word}");
        }
    }

    #[test]
    fn a_state_that_is_not_known_is_never_taken_for_another() {
        assert_eq!(
            worker(&info("Retiring")).expect_err("unknown").name,
            ErrorName::Defect
        );
        assert_eq!(
            worker(&WorkerInfo::default()).expect_err("no address").name,
            ErrorName::Defect
        );
    }

    #[test]
    fn a_worker_is_asked_at_its_container_and_named_by_its_host() {
        let mut told = info("ACTIVE");
        assert_eq!(worker(&told).expect("valid").address, "10.0.0.7");
        told.address = Some(WorkerNetAddress {
            container_host: Some("10.1.2.3".into()),
            ..address("10.0.0.7")
        });
        let worker = worker(&told).expect("valid");
        assert_eq!(
            (worker.host.as_str(), worker.address.as_str()),
            ("10.0.0.7", "10.1.2.3")
        );
    }

    fn info_of(blocks: &[(i64, &[&str])]) -> FileInfo {
        let block = |(id, hosts): &(i64, &[&str])| FileBlockInfo {
            block_info: Some(BlockInfo {
                block_id: Some(*id),
                length: Some(5),
                locations: hosts
                    .iter()
                    .map(|host| BlockLocation {
                        worker_address: Some(address(host)),
                    })
                    .collect(),
            }),
        };
        FileInfo {
            file_id: Some(0x1ff_ffff),
            path: Some("/a".into()),
            length: Some(12),
            block_size_bytes: Some(5),
            completed: Some(true),
            block_ids: vec![0x100_0000, 0x100_0001, 0x100_0002],
            file_block_infos: blocks.iter().map(block).collect(),
            last_modification_time_ms: Some(1_500),
            ..FileInfo::default()
        }
    }

    /// Id, bytes, how many hosts, and whether the master knows it.
    fn seen(info: FileInfo) -> Vec<(i64, u64, usize, bool)> {
        let blocks = file(info).blocks.into_iter();
        blocks
            .map(|block| (block.id, block.bytes, block.hosts.len(), block.known))
            .collect()
    }

    #[test]
    fn a_file_tells_where_each_of_its_blocks_is() {
        let state = file(info_of(&[
            (0x100_0000, &["10.0.0.7", "10.0.0.8"]),
            (0x100_0001, &[]),
            (0x100_0002, &["10.0.0.8"]),
        ]));
        assert_eq!(state.blocks[0].hosts, ["10.0.0.7", "10.0.0.8"]);
        assert!(state.blocks[1].hosts.is_empty() && state.blocks[1].known);
        assert_eq!(
            (state.length, state.completed, state.persisted),
            (12, true, false)
        );
        assert_eq!(state.modified_at.as_millisecond(), 1_500);
    }

    #[test]
    fn a_block_without_metadata_is_still_the_files() {
        let dropped = info_of(&[(0x100_0000, &["a"]), (0x100_0002, &["a"])]);
        assert_eq!(
            seen(dropped),
            [
                (0x100_0000, 5, 1, true),
                (0x100_0001, 5, 0, false),
                (0x100_0002, 5, 1, true)
            ]
        );
        let all = info_of(&[]);
        assert_eq!(
            seen(all),
            [
                (0x100_0000, 5, 0, false),
                (0x100_0001, 5, 0, false),
                (0x100_0002, 2, 0, false)
            ]
        );
    }

    #[test]
    fn a_short_list_is_as_long_as_the_length_asks_for() {
        let short = FileInfo {
            block_ids: vec![0x100_0000],
            ..info_of(&[(0x100_0000, &["a"])])
        };
        assert_eq!(
            seen(short),
            [
                (0x100_0000, 5, 1, true),
                (0x100_0001, 5, 0, false),
                (0x100_0002, 2, 0, false)
            ]
        );
    }

    #[test]
    fn an_open_file_has_the_blocks_that_were_begun() {
        let open = FileInfo {
            completed: Some(false),
            length: Some(0),
            block_ids: vec![0x100_0000, 0x100_0001],
            ..info_of(&[(0x100_0000, &["a"])])
        };
        assert_eq!(seen(open), [(0x100_0000, 5, 1, true), (0x100_0001, 0, 0, false)]);
    }

    #[test]
    fn a_file_is_persisted_only_if_the_master_says_so() {
        let state = |word: &str| {
            file(FileInfo {
                persistence_state: Some(word.to_owned()),
                ..FileInfo::default()
            })
            .persisted
        };
        assert!(state("PERSISTED"));
        for word in ["TO_BE_PERSISTED", "NOT_PERSISTED", "LOST", ""] {
            assert!(!state(word), "{word}");
        }
    }

    #[test]
    fn a_file_that_is_to_be_persisted_is_under_way() {
        let persisting = |word: &str| {
            file(FileInfo {
                persistence_state: Some(word.to_owned()),
                ..FileInfo::default()
            })
            .persisting
        };
        assert!(persisting("TO_BE_PERSISTED"));
        for word in ["PERSISTED", "NOT_PERSISTED", "LOST", ""] {
            assert!(!persisting(word), "{word}");
        }
    }
}
