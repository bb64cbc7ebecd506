//! What goes wrong in a walk, and which of it is tried again or caught.

use serde_json::Value;

use crate::definition::list;

/// Bytes of JSON that a state's input, output or result may have, and the variables that it assigns together.
const LARGEST_DATA: usize = 262_144;

/// An error as a catcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `Error`.
    pub(crate) error: String,
    /// `Cause`.
    pub(crate) cause: String,
}

/// Why a walk, or a branch of it, goes no further.
pub(crate) enum Stop {
    /// A state failed.
    Failed(Failure),
    /// The execution as a whole was ended by Step Functions.
    Ended(Failure),
}

impl Stop {
    /// A state failed with that error.
    pub(crate) fn failed(error: &str, cause: impl Into<String>) -> Self {
        let (error, cause) = (error.to_owned(), cause.into());
        Self::Failed(Failure { error, cause })
    }
}

/// An expression that does not come to what its place needs.
pub(crate) fn query_error(state: &str, place: &str, what: &str) -> Stop {
    Stop::failed("States.QueryEvaluationError", format!("{state}, {place}: {what}"))
}

/// Fails what is larger than Step Functions takes.
pub(crate) fn check_size(state: &str, value: &Value) -> Result<(), Stop> {
    let size = value.to_string().len();
    if size > LARGEST_DATA {
        return Err(Stop::failed(
            "States.DataLimitExceeded",
            format!("{state}: {size} bytes"),
        ));
    }
    Ok(())
}

/// Whether an `ErrorEquals` names this error.
pub(crate) fn names(rule: &Value, error: &str) -> bool {
    let mut named = list(rule, "ErrorEquals").filter_map(Value::as_str);
    let terminal = matches!(error, "States.Runtime" | "States.DataLimitExceeded");
    named.any(|name| match name {
        "States.ALL" => !terminal,
        "States.TaskFailed" => !terminal && error != "States.Timeout",
        name => name == error,
    })
}

/// Seconds until the next attempt, the longest that jitter allows; none where there is no other.
pub(crate) fn retry_delay(fields: &Value, tried: &mut [u32], error: &str) -> Option<i64> {
    let (index, retrier) = list(fields, "Retry")
        .enumerate()
        .find(|(_, retrier)| names(retrier, error))?;
    let number = |field: &str, default: i64| retrier[field].as_i64().unwrap_or(default);
    let attempts = i64::from(tried[index]);
    if attempts >= number("MaxAttempts", 3) {
        return None;
    }
    tried[index] += 1;
    let grown = number("BackoffRate", 2).saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX));
    let delay = number("IntervalSeconds", 1).saturating_mul(grown);
    Some(delay.min(number("MaxDelaySeconds", delay)))
}
