use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_domain::deadline::Frame;
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::subject::Subject;

/// What a state machine hands to every function but `resolve-node`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The node, as `resolve-node` found it.
    pub node: Subject,
    /// The ARN of the execution that calls.
    pub execution: String,
    /// The frame of time.
    #[serde(flatten)]
    pub frame: Frame,
    /// How often the state machine has tried this very state again after an error.
    #[serde(default)]
    pub retry_count: u32,
    /// Only say what would be done.
    #[serde(default)]
    pub plan: bool,
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    /// `InvalidInput`: which field, and what was expected.
    pub fn read<T: DeserializeOwned>(payload: &Value) -> Result<T> {
        T::deserialize(payload).map_err(|error| {
            Error::new(
                ErrorName::InvalidInput,
                format!("the call cannot be read: {error}"),
            )
        })
    }
}
