//! The master's messages as the domain's types.

use tidegate_domain::cache::{FileState, Worker, WorkerState};
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::proto::WorkerNetAddress;
use crate::proto::block::WorkerInfo;
use crate::proto::file::FileInfo;

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
    let block_hosts = info
        .file_block_infos
        .into_iter()
        .map(|block| {
            let locations = block.block_info.unwrap_or_default().locations;
            locations
                .into_iter()
                .filter_map(|at| at.worker_address?.host)
                .collect()
        })
        .collect();
    let persistence = info.persistence_state.as_deref();
    FileState {
        length: count(info.length.unwrap_or_default()),
        completed: info.completed.unwrap_or_default(),
        persisted: info.persisted.unwrap_or_default() || persistence == Some("PERSISTED"),
        persisting: persistence == Some("TO_BE_PERSISTED"),
        folder: info.folder.unwrap_or_default(),
        // -1 where it is unlimited, which a minimum never is.
        path: info.path.unwrap_or_default(),
        block_hosts,
    }
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

    #[test]
    fn a_file_tells_where_each_of_its_blocks_is() {
        let block = |hosts: &[&str]| FileBlockInfo {
            block_info: Some(BlockInfo {
                locations: hosts
                    .iter()
                    .map(|host| BlockLocation {
                        worker_address: Some(address(host)),
                    })
                    .collect(),
                ..BlockInfo::default()
            }),
        };
        let state = file(FileInfo {
            path: Some("/a".into()),
            length: Some(12),
            completed: Some(true),
            file_block_infos: vec![block(&["10.0.0.7", "10.0.0.8"]), block(&[])],
            ..FileInfo::default()
        });
        assert_eq!(
            state.block_hosts,
            [vec!["10.0.0.7".to_owned(), "10.0.0.8".to_owned()], vec![]]
        );
        assert_eq!(
            (state.length, state.completed, state.persisted),
            (12, true, false)
        );
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
