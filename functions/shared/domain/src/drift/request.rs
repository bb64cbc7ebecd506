//! What a check was asked for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::kind::Kind;
use crate::error::{Error, Result};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Change nothing: say what would be done.
    pub plan: bool,
    /// The kinds that may be repaired; none means all of them.
    pub repair: Option<BTreeSet<Kind>>,
}

impl Request {
    /// Reads the input of an execution: a schedule's event, or what a person typed.
    ///
    /// # Errors
    /// `InvalidInput` that names field, value and what was expected.
    pub fn read(input: &Value) -> Result<Self> {
        let Some(fields) = input.as_object() else {
            return Err(Error::invalid("input", input, "a JSON object"));
        };
        if input["source"] == "aws.events" {
            return Ok(Self::default());
        }
        let mut request = Self::default();
        for (field, value) in fields {
            match field.as_str() {
                "plan" => {
                    request.plan = value
                        .as_bool()
                        .ok_or_else(|| Error::invalid("plan", value, "true or false"))?;
                }
                "repair" => request.repair = Some(kinds(value)?),
                other => return Err(Error::invalid(other, value, "expected here: plan or repair")),
            }
        }
        Ok(request)
    }

    /// Whether a kind may be repaired.
    #[must_use]
    pub fn allows(&self, kind: Kind) -> bool {
        self.repair.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

fn kinds(value: &Value) -> Result<BTreeSet<Kind>> {
    let expected = || {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("a list of kinds ({})", names.join(", "))
    };
    let items = value
        .as_array()
        .ok_or_else(|| Error::invalid("repair", value, &expected()))?;
    items
        .iter()
        .map(|item| {
            item.as_str()
                .and_then(Kind::parse)
                .ok_or_else(|| Error::invalid("repair", item, &expected()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedule_and_nothing_at_all_repair_everything() {
        for input in [
            json!({}),
            json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
        ] {
            let request = Request::read(&input).expect("understood");
            assert!(!request.plan);
            assert!(Kind::ALL.iter().all(|kind| request.allows(*kind)));
        }
    }

    #[test]
    fn a_person_asks_for_a_plan_or_for_some_kinds() {
        let request = Request::read(&json!({"plan": true})).expect("understood");
        assert!(request.plan);
        let request = Request::read(&json!({"repair": ["join-stalled"]})).expect("understood");
        assert!(request.allows(Kind::JoinStalled) && !request.allows(Kind::DrainStalled));
        let request = Request::read(&json!({"repair": []})).expect("understood");
        assert!(Kind::ALL.iter().all(|kind| !request.allows(*kind)));
    }

    #[test]
    fn bad_input_is_refused_with_field_value_and_what_was_expected() {
        for (input, sentence) in [
            (json!([]), "input: [] is not a JSON object"),
            (json!({"plan": "yes"}), "plan: \"yes\" is not true or false"),
            (
                json!({"repair": "join-stalled"}),
                "repair: \"join-stalled\" is not a list of kinds (drain-stalled, ",
            ),
            (
                json!({"repair": ["join"]}),
                "repair: \"join\" is not a list of kinds (drain-stalled, ",
            ),
            (
                json!({"repairs": []}),
                "repairs: [] is not expected here: plan or repair",
            ),
        ] {
            let error = Request::read(&input).expect_err("refused");
            assert!(error.message.starts_with(sentence), "{error}");
        }
    }
}
