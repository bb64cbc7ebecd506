//! The Lambda glue: configuration from the environment, the call that a state machine makes, one log line with its
//! metrics for each outcome, errors under the names that the state machines know.

mod call;
mod clock;
mod outcome_line;
mod reply;
mod runtime;
mod settings;

pub use call::Call;
pub use clock::SystemClock;
pub use outcome_line::outcome_line;
pub use reply::{Metric, Reply, Unit};
pub use runtime::{Serve, serve};
pub use settings::Settings;
