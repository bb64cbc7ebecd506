//! What an execution was asked for.

use serde_json::Value;

use crate::error::{Error, Result};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Change nothing: say what would be done.
    pub plan: bool,
}

impl Request {
    /// Reads the input of an execution: the event of a stack that is complete, or what a person typed.
    ///
    /// # Errors
    /// `InvalidInput` that names field, value and what was expected.
    pub fn read(input: &Value) -> Result<Self> {
        let Some(fields) = input.as_object() else {
            return Err(Error::invalid("input", input, "a JSON object"));
        };
        if input["source"] == "aws.cloudformation" {
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
                other => return Err(Error::invalid(other, value, "expected here: plan")),
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stack_that_is_complete_and_nothing_at_all_set_the_cluster_up() {
        let event = json!({
            "source": "aws.cloudformation",
            "detail-type": "CloudFormation Stack Status Change",
            "detail": {"status-details": {"status": "CREATE_COMPLETE"}},
        });
        for input in [json!({}), event] {
            assert_eq!(Request::read(&input), Ok(Request { plan: false }), "{input}");
        }
    }

    #[test]
    fn a_plan_is_asked_for_by_true() {
        assert_eq!(Request::read(&json!({"plan": true})), Ok(Request { plan: true }));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (input, sentence) in [
            (json!([]), "input: [] is not a JSON object"),
            (json!({"plan": "yes"}), "plan: \"yes\" is not true or false"),
            (
                json!({"cluster": "a"}),
                "cluster: \"a\" is not expected here: plan",
            ),
        ] {
            assert_eq!(Request::read(&input).expect_err("refused").message, sentence);
        }
    }
}
