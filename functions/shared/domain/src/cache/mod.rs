//! The cache of one node: what its worker holds, which of it exists nowhere else, and what to do about it.

mod carried;
mod copying;
mod drain;
mod file;
mod flow;
mod forecast;
mod losses;
mod order;
mod page;
mod sighting;
mod unsaved;

pub use carried::{MOST_PATH_BYTES, json_bytes, shortened};
pub use copying::{Directory, Room, TargetClaim, claim_target, to_free};
pub use drain::{
    CLEAN_PASSES, Idle, IdleWait, MOST_NAMED, MOST_PENDING, Pass, Pending, Progress, Totals, lighten,
};
pub(crate) use file::broken;
pub use file::{Block, Broken, FileState, HeldBlock, Holder, Need, Stores, Verdict, judge};
pub use flow::{Flow, probe};
pub use forecast::{Amount, Forecast, Found, Rate, RateMemory, Surroundings, forecast};
pub use losses::{Loss, Losses, MOST_LOSSES_BYTES};
pub use order::{Hurry, MOST_CARRIED, MOST_WAITING, Waiting, last_moment, last_turn, near, next_turn, prune};
pub use page::PageSize;
pub use sighting::{Phase, SeenWorker, Sighting, next_phase, proven_empty, several_live};
pub use unsaved::{LastLook, MOST_LISTED_BYTES, Unsaved};

use serde::{Deserialize, Serialize};

/// A worker as the master knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// The registered host: what a decommission must name to the letter.
    pub host: String,
    /// The address to ask the worker itself: `containerHost` where it is set, else the host.
    pub address: String,
    /// `rpcPort`.
    pub rpc_port: u16,
    /// `webPort`: a decommission must name it, and the worker's own view is served there.
    pub web_port: u16,
    /// Its state at the master.
    pub state: WorkerState,
    /// `capacityBytes`: the sum of its tiers.
    pub capacity_bytes: u64,
    /// `usedBytes`.
    pub used_bytes: u64,
    /// `lastContactSec`: seconds since its last heartbeat.
    pub last_contact_seconds: u64,
}

/// A worker's state at the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// In service.
    Live,
    /// No heartbeat for `alluxio.master.worker.timeout`.
    Lost,
    /// Taken out of service; may register again.
    Decommissioned,
    /// Taken out of service for good.
    Disabled,
}

/// A file that has blocks on a worker, as the worker tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerFile {
    /// Its path.
    pub path: String,
    /// Whether the worker's view says `PERSISTED`: such a file needs no further look.
    pub persisted: bool,
    /// Whether the file is pinned: its blocks may not be freed.
    pub pinned: bool,
    /// Those of its blocks that are on this worker.
    pub blocks: Vec<HeldBlock>,
}

/// A page of a worker's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFilePage {
    /// How many files there are in all.
    pub total: u64,
    /// How many of them this page covers. More than it names: the worker leaves out what it cannot name, which is a
    /// file that was deleted, or any file while it cannot ask the master.
    pub looked: u64,
    /// The files of this page that have a name.
    pub files: Vec<WorkerFile>,
}

/// What a worker is doing for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerLoad {
    /// `operationCount` and `rpcQueueLength` of the worker's operations endpoint, summed.
    pub operations: u64,
    /// `Worker.ActiveRpcReadCount`. Stays one too high for ever after a client has cancelled a read.
    pub active_reads: u64,
    /// `Worker.ActiveRpcWriteCount`.
    pub active_writes: u64,
}

impl WorkerLoad {
    /// Whether nothing is going on.
    #[must_use]
    pub const fn idle(&self) -> bool {
        self.operations == 0 && self.active_reads == 0 && self.active_writes == 0
    }
}
