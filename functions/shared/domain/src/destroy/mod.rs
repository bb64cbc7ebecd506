//! A cluster as a whole goes away: what would be lost with it, in which order it goes, when nothing of it is left.

mod caches;
mod fate;
mod nodes;
mod objects;
mod ports;
mod remains;
mod request;
mod round;
mod volumes;

pub use caches::{Caches, WorkerPod, caches};
pub use fate::{Fate, Settled, fate};
pub use nodes::release;
pub use objects::{
    claims_of, destroying_since, foreign, is_autoscaler, is_ours, losses, mark, next, recorded, waiting,
    with_losses,
};
pub use ports::{GroupHooks, OwnExecutions, Remains, Teardown};
pub use remains::{Remain, StackSeen, left};
pub use request::Request;
pub use round::{Progress, Round, counted_at};
pub use volumes::{Held, HeldVolume, held};
