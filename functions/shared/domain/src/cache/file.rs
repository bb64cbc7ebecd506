//! What one file needs before the worker that holds it may go.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Worker, WorkerState};

/// A block of a file, as the master knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// `blockId`.
    pub id: i64,
    /// Its length in bytes; what the file's length asks for where the master does not know the block.
    pub bytes: u64,
    /// The hosts of the workers in service that have a copy.
    pub hosts: Vec<String>,
    /// Whether the master knows the block. It knows none that was never committed, and may have dropped one that was.
    pub known: bool,
}

impl Block {
    /// Whether another worker in service has a copy.
    fn has_another(&self, host: &str) -> bool {
        self.hosts.iter().any(|other| other != host)
    }
}

/// A file as the master knows it.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a field of Alluxio's answer"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileState {
    /// `path`, as the master answers it.
    pub path: String,
    /// `length` in bytes.
    pub length: u64,
    /// `completed`: no longer being written.
    pub completed: bool,
    /// `persisted`, or `persistenceState` is `PERSISTED`.
    pub persisted: bool,
    /// `persistenceState` is `TO_BE_PERSISTED`: Alluxio is going to write it, or writes it, or waits to try again. To
    /// ask for it once more makes it begin anew.
    pub persisting: bool,
    /// A directory, which holds no data.
    pub folder: bool,
    /// As many blocks as the file's length asks for, in their order.
    pub blocks: Vec<Block>,
    /// `lastModificationTimeMs`: when it was completed, as the master's clock has it.
    pub modified_at: Timestamp,
}

impl FileState {
    /// Whether each block has a copy on another worker in service.
    #[must_use]
    pub fn complete_without(&self, host: &str) -> bool {
        self.without_another(host) == 0
    }

    /// How many blocks have no copy on another worker in service.
    #[must_use]
    pub fn without_another(&self, host: &str) -> u64 {
        self.blocks
            .iter()
            .filter(|block| !block.has_another(host))
            .count() as u64
    }

    /// Whether the master can have each block read: it reads from workers in service only.
    pub(crate) fn readable(&self) -> bool {
        self.blocks.iter().all(|block| !block.hosts.is_empty())
    }

    /// Nothing can be lost with it: a directory, a file in the under store, or a complete one of no bytes.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.folder || self.persisted || self.completed && self.length == 0 && self.blocks.is_empty()
    }
}

/// What Alluxio writes to its under stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// Substrings of paths that the master never persists (`alluxio.master.persistence.blacklist`).
    pub blacklist: Vec<String>,
    /// The mount points, and whether each is read-only.
    pub mounts: BTreeMap<String, bool>,
    /// Files that clients write with `ASYNC_THROUGH` are to be persisted, and Alluxio begins with that on a command only
    /// (`alluxio.user.file.persistence.initial.wait.time` is -1, unless a client sets it otherwise).
    pub awaits_command: bool,
    /// Nothing that was asked for arrives there any more, so what can be copied to other workers is copied.
    pub stalled: bool,
}

impl Stores {
    /// Why the master never writes that path to an under store; none where it does.
    #[must_use]
    pub fn refusal(&self, path: &str) -> Option<&'static str> {
        let listed = |part: &String| !part.is_empty() && path.contains(part.as_str());
        if self.blacklist.iter().any(listed) {
            return Some("never persisted: its path is on Alluxio's blacklist");
        }
        (!self.writable(path)).then_some("its under store takes no writes")
    }

    /// Whether the under store of a path takes writes: that of the deepest mount point above it.
    fn writable(&self, path: &str) -> bool {
        let above = |mount: &str| {
            let mount = mount.trim_end_matches('/');
            path.strip_prefix(mount)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let deepest = self
            .mounts
            .iter()
            .filter(|(mount, _)| above(mount))
            .max_by_key(|(mount, _)| mount.len());
        deepest.is_some_and(|(_, read_only)| !read_only)
    }
}

/// The worker that leaves, as far as one of its files is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Its registered host.
    pub host: &'a str,
    /// Whether the master has it in service, and so knows which blocks it has.
    pub in_service: bool,
    /// The blocks of the file that the worker itself lists; none where it was not asked.
    pub listed: Option<&'a [HeldBlock]>,
}

impl<'a> Holder<'a> {
    /// That worker.
    #[must_use]
    pub fn of(worker: &'a Worker, listed: Option<&'a [HeldBlock]>) -> Self {
        Self {
            host: &worker.host,
            in_service: worker.state == WorkerState::Live,
            listed,
        }
    }

    /// The blocks of a file that no other worker in service has.
    #[must_use]
    pub fn only_here<'b>(&self, file: &'b FileState) -> Vec<&'b Block> {
        let blocks = file.blocks.iter();
        blocks
            .filter(|block| self.has(block) && !block.has_another(self.host))
            .collect()
    }

    /// Whether it has a block. Of a worker out of service the master tells no locations; where its own list is not at
    /// hand either, it may have any block that nobody else has.
    pub(crate) fn has(&self, block: &Block) -> bool {
        let located = block.hosts.iter().any(|host| host == self.host);
        let listed = self
            .listed
            .map(|listed| listed.iter().any(|held| held.id == block.id));
        located || listed.unwrap_or(!self.in_service && block.hosts.is_empty())
    }
}

/// A block on a worker, as the worker tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBlock {
    /// Its id.
    pub id: i64,
    /// `blockLength` in bytes.
    pub bytes: u64,
}

/// What a file needs before the worker may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, or nothing that waiting would bring.
    Nothing,
    /// To be written to the under store.
    Persist,
    /// Copies of some blocks on other workers: the master never persists such a path, or cannot read it from where it
    /// is.
    Copy,
    /// That its writer finishes: an incomplete file cannot be persisted, and a copy of it would be a part.
    Completion,
}

/// What was lost of a file before its worker began to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Blocks that are on no worker in service, not on the one that leaves, and in no under store.
    pub lost_blocks: u64,
    /// Blocks of the file.
    pub blocks: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            text,
            "{} of its {} blocks on no worker in service and in no under store",
            self.lost_blocks, self.blocks
        )
    }
}

/// What is to be said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it needs before the worker may go.
    pub need: Need,
    /// Bytes that have to be written or copied for that.
    pub bytes: u64,
    /// Bytes that no other worker in service has, nor the under store: lost if the worker went now.
    pub only_here: u64,
    /// What was lost of it before; such a file is never waited for once it needs nothing else.
    pub broken: Option<Broken>,
    /// Blocks that have no copy on another worker even when what it needs is done.
    pub without_copy: u64,
}

impl Verdict {
    const DONE: Self = Self {
        need: Need::Nothing,
        bytes: 0,
        only_here: 0,
        broken: None,
        without_copy: 0,
    };
}

/// Judges a file on a worker that leaves.
#[must_use]
pub fn judge(file: Option<&FileState>, holder: Holder<'_>, stores: &Stores) -> Verdict {
    let Some(file) = file.filter(|file| !file.holds_nothing()) else {
        return Verdict::DONE;
    };
    let only_here = holder.only_here(file);
    let copy = only_here.iter().map(|block| block.bytes).sum();
    let without_copy = file.without_another(holder.host) - only_here.len() as u64;
    let copies = if only_here.is_empty() {
        Need::Nothing
    } else {
        Need::Copy
    };
    let broken = broken(file, |block| holder.has(block));
    let persists = stores.refusal(&file.path).is_none() && !stores.stalled;
    let (need, bytes) = if broken.is_some() {
        (copies, copy)
    } else if !file.completed {
        (Need::Completion, file.length)
    } else if persists && file.readable() {
        (Need::Persist, file.length)
    } else {
        (copies, copy)
    };
    Verdict {
        need,
        bytes,
        // What its writer has not committed yet is nowhere else either.
        only_here: if need == Need::Completion {
            file.length
        } else {
            copy
        },
        broken,
        without_copy,
    }
}

/// What was lost of a file, where `here` says whether a leaving worker has a block. The last block of a file that is being
/// written is not known to the master before it is full.
pub(crate) fn broken(file: &FileState, here: impl Fn(&Block) -> bool) -> Option<Broken> {
    let lost = file.blocks.iter().filter(|block| {
        let written = block.known || file.completed;
        written && block.hosts.is_empty() && !here(block)
    });
    let lost_blocks = lost.count() as u64;
    (lost_blocks > 0).then_some(Broken {
        lost_blocks,
        blocks: file.blocks.len() as u64,
    })
}

#[cfg(test)]
mod tests;
