//! Reads why an execution was started: an event in one of its many shapes, or what a person typed.
//!
//! Bad input by a person is an error, in one sentence. Anything else that is not understood is no error: whoever sent
//! it cannot do better, and a failed execution would wake somebody for nothing.

mod by_hand;
mod envelope;
mod event;
mod flat;
mod health;

use serde_json::Value;
use tidegate_domain::error::{Error, Result};
use tidegate_domain::several::name_part;
use tidegate_domain::trigger::Trigger;

/// What stands in the input of an execution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// The triggers in it, at least one, those that are no concern of ours too.
    pub(crate) triggers: Vec<Trigger>,
    /// The id of the event, as the beginning of the names of the executions for each of several instances: an event
    /// that is delivered twice starts them once.
    pub(crate) event_id: Option<String>,
}

/// Reads the input of an execution.
///
/// # Errors
/// `InvalidInput` for what a person typed, in one sentence that names the field, its value and what was expected.
pub(crate) fn read(input: &Value) -> Result<Input> {
    if typed(input) {
        return Ok(Input {
            triggers: by_hand::read(input)?,
            event_id: None,
        });
    }
    let triggers: Vec<_> = envelope::messages(input)
        .into_iter()
        .flat_map(|message| match message {
            Ok(message) => event::read(&message),
            Err(reason) => vec![Trigger::NotOurs(reason)],
        })
        .collect();
    if triggers.is_empty() {
        return Err(unknown(input));
    }
    Ok(Input {
        triggers,
        event_id: envelope::id(input).and_then(|id| name_part(&id)),
    })
}

/// Whether a person typed that, as no service sends such a thing.
fn typed(input: &Value) -> bool {
    match input {
        Value::Object(fields) => fields.is_empty() || by_hand::looks_typed(fields),
        // Records come in arrays.
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    }
}

fn unknown(input: &Value) -> Error {
    Error::invalid("the input", input, by_hand::EXPECTED)
}

#[cfg(test)]
mod tests;
