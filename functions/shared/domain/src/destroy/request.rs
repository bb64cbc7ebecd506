//! What an execution was asked for.

use serde_json::Value;

use crate::error::{Error, Result};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Change nothing: say what would be lost, and what would go.
    pub plan: bool,
    /// What cannot be saved may be lost.
    pub accept_data_loss: bool,
}

impl Request {
    /// Reads the input of an execution, which a person typed: no event is understood. The cluster is named, and unless it
    /// is a plan named once more, so that no slip of the hand destroys one.
    ///
    /// # Errors
    /// `InvalidInput` that names field, value and what was expected.
    pub fn read(input: &Value, cluster: &str) -> Result<Self> {
        let Some(fields) = input.as_object() else {
            return Err(Error::invalid("input", input, "a JSON object"));
        };
        let mut request = Self::default();
        for (field, value) in fields {
            let switch = || {
                value
                    .as_bool()
                    .ok_or_else(|| Error::invalid(field, value, "true or false"))
            };
            match field.as_str() {
                "cluster" | "confirm" => {}
                "plan" => request.plan = switch()?,
                "acceptDataLoss" => request.accept_data_loss = switch()?,
                other => {
                    return Err(Error::invalid(
                        other,
                        value,
                        "expected here: cluster, confirm, plan or acceptDataLoss",
                    ));
                }
            }
        }
        let named = |field: &str, what: &str| match &input[field] {
            value if *value == cluster => Ok(()),
            value => Err(Error::invalid(field, value, &format!("{cluster:?}, {what}"))),
        };
        named("cluster", "the cluster that these functions look after")?;
        if !request.plan {
            named(
                "confirm",
                "the name of the cluster that goes with all that is in it",
            )?;
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_destroyed_when_it_is_named_twice() {
        let input = json!({"cluster": "prod", "confirm": "prod"});
        assert_eq!(Request::read(&input, "prod"), Ok(Request::default()));
        let input = json!({"cluster": "prod", "confirm": "prod", "acceptDataLoss": true});
        let request = Request::read(&input, "prod").expect("understood");
        assert!(request.accept_data_loss && !request.plan);
    }

    #[test]
    fn a_plan_needs_no_confirmation() {
        let request = Request::read(&json!({"cluster": "prod", "plan": true}), "prod");
        assert_eq!(request.map(|request| request.plan), Ok(true));
    }

    #[test]
    fn anything_else_is_refused_in_one_sentence() {
        for (input, sentence) in [
            (json!([]), "input: [] is not a JSON object"),
            (
                json!({}),
                "cluster: null is not \"prod\", the cluster that these functions look after",
            ),
            (
                json!({"cluster": "dev", "confirm": "dev"}),
                "cluster: \"dev\" is not \"prod\", the cluster that these functions look after",
            ),
            (
                json!({"cluster": "prod"}),
                "confirm: null is not \"prod\", the name of the cluster that goes with all that is in it",
            ),
            (
                json!({"cluster": "prod", "confirm": true}),
                "confirm: true is not \"prod\", the name of the cluster that goes with all that is in it",
            ),
            (
                json!({"cluster": "prod", "plan": false}),
                "confirm: null is not \"prod\", the name of the cluster that goes with all that is in it",
            ),
            (
                json!({"cluster": "prod", "plan": "yes"}),
                "plan: \"yes\" is not true or false",
            ),
            (
                json!({"cluster": "prod", "confirm": "prod", "acceptDataLoss": "all"}),
                "acceptDataLoss: \"all\" is not true or false",
            ),
            (
                json!({"cluster": "prod", "confirm": "prod", "force": true}),
                "force: true is not expected here: cluster, confirm, plan or acceptDataLoss",
            ),
        ] {
            let refused = Request::read(&input, "prod").expect_err("refused");
            assert_eq!(refused.message, sentence);
        }
    }

    #[test]
    fn no_event_is_understood() {
        let event = json!({
            "source": "aws.cloudformation",
            "detail-type": "CloudFormation Stack Status Change",
            "cluster": "prod",
            "confirm": "prod",
        });
        assert!(Request::read(&event, "prod").is_err());
    }
}
