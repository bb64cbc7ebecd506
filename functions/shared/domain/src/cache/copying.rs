//! Where copies go, so that none costs another file its only copy.
//!
//! Alluxio makes room for a copy as for any write: it evicts what was used least recently, whether or not that is
//! anywhere else. So a copy is asked for only where it fits into what is free. A drain claims a worker before it looks
//! at what is free there, as two drains that look at the same time would both find the same room.

use jiff::{SignedDuration, Timestamp};

use super::{HeldBlock, WorkerFile};
use crate::names;
use crate::node::{Node, NodeChange};

/// This part of each directory is left free: clients go on writing to a worker while copies are on their way to it.
const LEFT_FREE: u64 = 50;
/// A claim is good for this long after it was last renewed. A drain that was cut off leaves one, and copies that it has asked
/// for are made, or seen to take room, within that time.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);

/// A directory of a worker's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// `capacityBytes`: its quota.
    pub capacity_bytes: u64,
    /// `usedBytes`, with what is being written.
    pub used_bytes: u64,
}

/// What is free on a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    free: Vec<u64>,
}

impl Room {
    /// The room in these directories, where so many bytes have been asked for that may not be seen there yet. Which
    /// directory those will be in is not known, so each counts without them.
    #[must_use]
    pub fn of(directories: &[Directory], under_way: u64) -> Self {
        let free = |directory: &Directory| {
            let kept = directory.capacity_bytes / LEFT_FREE + under_way;
            directory
                .capacity_bytes
                .saturating_sub(directory.used_bytes)
                .saturating_sub(kept)
        };
        Self {
            free: directories.iter().map(free).collect(),
        }
    }

    /// Takes the room for a block, if there is any. A block is in one directory: the one in which most is free
    /// (`MaxFreeAllocator`, Alluxio's default).
    pub fn take(&mut self, bytes: u64) -> bool {
        let most = self.free.iter_mut().max_by_key(|free| **free);
        match most {
            Some(free) if *free >= bytes => {
                *free -= bytes;
                true
            }
            _ => false,
        }
    }
}

/// Blocks to free for so many bytes: of persisted files that nobody has pinned, in the order of the worker's list, which
/// is that of the files' creation.
#[must_use]
pub fn to_free(files: &[WorkerFile], bytes: u64) -> Vec<HeldBlock> {
    let mut freed = 0;
    let mut blocks = Vec::new();
    for file in files.iter().filter(|file| file.persisted && !file.pinned) {
        for block in &file.blocks {
            if freed >= bytes {
                return blocks;
            }
            freed += block.bytes;
            blocks.push(*block);
        }
    }
    blocks
}

/// Whether a worker may take copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetClaim {
    /// It may, once this change is made to its node; none where that has been done.
    Free(Option<NodeChange>),
    /// Its node is being drained itself.
    Draining,
    /// It takes copies from another worker now, and until when.
    Busy(String),
}

/// Decides by the node of a worker whether that may take copies of what the worker at `from` holds; `draining`: even if it is
/// being drained itself.
#[must_use]
pub fn claim_target(node: &Node, draining: bool, from: &str, now: Timestamp) -> TargetClaim {
    if node.draining_since().is_some() && !draining {
        return TargetClaim::Draining;
    }
    let claimed = node.annotations.get(names::TAKES_COPIES_ANNOTATION);
    let claimed = claimed.and_then(|value| {
        let (holder, until) = value.split_once(' ')?;
        Some((holder, until.parse::<Timestamp>().ok()?))
    });
    match claimed {
        Some((holder, until)) if holder != from && until > now => TargetClaim::Busy(format!(
            "node {} takes copies from worker {holder} until {until}",
            node.name
        )),
        Some((holder, until)) if holder == from && until - CLAIM / 2 > now => TargetClaim::Free(None),
        _ => {
            let claim = format!("{from} {}", now + CLAIM);
            TargetClaim::Free(Some(NodeChange {
                annotations: [(names::TAKES_COPIES_ANNOTATION, Some(claim))].into(),
                ..NodeChange::default()
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(free: &[u64]) -> Room {
        Room { free: free.to_vec() }
    }

    #[test]
    fn a_block_goes_where_most_is_free() {
        let mut room = room(&[10, 30]);
        assert!(room.take(20));
        assert_eq!(room.free, [10, 10]);
        assert!(!room.take(11), "it would have to be split");
        assert!(room.take(10) && room.take(10) && !room.take(1));
    }

    #[test]
    fn without_directories_there_is_no_room() {
        assert!(!room(&[]).take(1));
    }

    #[test]
    fn what_is_used_or_under_way_is_not_free() {
        let directory = |used_bytes| Directory {
            capacity_bytes: 100 * MIB,
            used_bytes,
        };
        let directories = [directory(0), directory(60 * MIB), directory(101 * MIB)];
        assert_eq!(Room::of(&directories, 10 * MIB).free, [88 * MIB, 28 * MIB, 0]);
    }

    fn file(persisted: bool, pinned: bool, blocks: &[i64]) -> WorkerFile {
        WorkerFile {
            path: "/a".to_owned(),
            persisted,
            pinned,
            blocks: blocks.iter().map(|id| HeldBlock { id: *id, bytes: 10 }).collect(),
        }
    }

    #[test]
    fn only_persisted_blocks_that_nobody_pinned_go() {
        let files = [
            file(false, false, &[1]),
            file(true, true, &[2]),
            file(true, false, &[3, 4]),
            file(true, false, &[5]),
        ];
        let ids = |bytes| -> Vec<_> { to_free(&files, bytes).iter().map(|block| block.id).collect() };
        assert_eq!(ids(0), [] as [i64; 0]);
        assert_eq!(ids(11), [3, 4]);
        assert_eq!(ids(1_000), [3, 4, 5]);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    fn claimed(node: &mut Node, from: &str, now: i64) -> TargetClaim {
        let claim = claim_target(node, false, from, at(now));
        if let TargetClaim::Free(Some(change)) = &claim {
            for (name, value) in &change.annotations {
                node.annotations
                    .insert((*name).to_owned(), value.clone().unwrap_or_default());
            }
        }
        claim
    }

    #[test]
    fn a_worker_takes_copies_from_one_drain_at_a_time() {
        let mut node = Node::default();
        assert!(matches!(claimed(&mut node, "a", 0), TargetClaim::Free(Some(_))));
        assert!(matches!(claimed(&mut node, "b", 59), TargetClaim::Busy(why) if why.contains("worker a")));
        assert!(matches!(claimed(&mut node, "b", 60), TargetClaim::Free(Some(_))));
        assert!(matches!(claimed(&mut node, "a", 61), TargetClaim::Busy(_)));
    }

    #[test]
    fn a_claim_is_renewed_when_half_of_it_is_over() {
        let mut node = Node::default();
        claimed(&mut node, "a", 0);
        assert_eq!(claimed(&mut node, "a", 29), TargetClaim::Free(None));
        assert!(matches!(claimed(&mut node, "a", 30), TargetClaim::Free(Some(_))));
        assert!(matches!(claimed(&mut node, "b", 89), TargetClaim::Busy(_)));
    }

    #[test]
    fn a_node_that_is_being_drained_is_no_target() {
        let mut node = Node::default();
        let mark = at(0).to_string();
        node.annotations
            .insert(names::DRAIN_SINCE_ANNOTATION.to_owned(), mark);
        assert_eq!(claimed(&mut node, "a", 1), TargetClaim::Draining);
        let last_choice = claim_target(&node, true, "a", at(1));
        assert!(matches!(last_choice, TargetClaim::Free(Some(_))));
    }

    #[test]
    fn a_claim_that_cannot_be_read_is_none() {
        let mut node = Node::default();
        node.annotations
            .insert(names::TAKES_COPIES_ANNOTATION.to_owned(), "b tomorrow".to_owned());
        assert!(matches!(claimed(&mut node, "a", 1), TargetClaim::Free(Some(_))));
    }
}
