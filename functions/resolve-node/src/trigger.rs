//! Reads why an execution was started: an event as it came, or what a person typed.

use aws_lambda_events::event::autoscaling::AutoScalingEvent;
use serde::Deserialize;
use serde_json::Value;
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::resolve::Trigger;
use tidegate_domain::subject::InstanceId;

/// The longest that a lifecycle hook can wait, and so the longest deadline that makes sense: 48 hours.
const LONGEST_SECONDS: u64 = 172_800;

/// What a person types. `terminate` is for the state machine itself, and only checked here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByHand {
    instance_id: Value,
    #[serde(default)]
    deadline_seconds: Option<Value>,
    #[serde(default)]
    terminate: Option<Value>,
}

/// Reads the input of an execution.
///
/// # Errors
/// `InvalidInput` in one sentence that names the field, its value and what was expected.
pub(crate) fn read(input: &Value) -> Result<Trigger> {
    let Some(fields) = input.as_object() else {
        return Err(Error::invalid(
            "the input",
            input,
            "an event or an object such as {\"instanceId\": \"i-...\"}",
        ));
    };
    if fields.contains_key("detail-type") {
        event(input)
    } else {
        by_hand(input)
    }
}

fn event(input: &Value) -> Result<Trigger> {
    let kind = input["detail-type"].as_str().unwrap_or_default();
    if !matches!(
        kind,
        "EC2 Instance-launch Lifecycle Action" | "EC2 Instance-terminate Lifecycle Action"
    ) {
        return Ok(Trigger::NotOurs(format!(
            "events of type {kind:?} are no concern of this state machine"
        )));
    }
    let event = AutoScalingEvent::deserialize(input).map_err(|error| {
        Error::new(
            ErrorName::InvalidInput,
            format!("the event cannot be read: {error}"),
        )
    })?;
    let detail = |field: &str| {
        event
            .detail
            .get(field)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .ok_or_else(|| {
                Error::invalid(
                    &format!("detail.{field}"),
                    "a missing value",
                    "a text, as in every lifecycle action",
                )
            })
    };
    Ok(Trigger::LifecycleAction {
        instance: InstanceId::parse(&detail("EC2InstanceId")?)?,
        group: detail("AutoScalingGroupName")?,
        hook: detail("LifecycleHookName")?,
        transition: detail("LifecycleTransition")?,
    })
}

fn by_hand(input: &Value) -> Result<Trigger> {
    if input.get("instanceId").is_none() {
        return Err(Error::invalid(
            "instanceId",
            "a missing value",
            "an EC2 instance id; give {\"instanceId\": \"i-...\"} or a lifecycle event as it came",
        ));
    }
    let typed = ByHand::deserialize(input).map_err(|error| {
        Error::new(
            ErrorName::InvalidInput,
            format!("the input cannot be read: {error}"),
        )
    })?;
    let Some(instance) = typed.instance_id.as_str() else {
        return Err(Error::invalid(
            "instanceId",
            typed.instance_id,
            "a text with an EC2 instance id",
        ));
    };
    if let Some(terminate) = typed.terminate.filter(|terminate| !terminate.is_boolean()) {
        return Err(Error::invalid("terminate", terminate, "true or false"));
    }
    let deadline_seconds = match typed.deadline_seconds {
        None | Some(Value::Null) => None,
        Some(value) => match value
            .as_u64()
            .filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds))
        {
            Some(seconds) => u32::try_from(seconds).ok(),
            None => {
                return Err(Error::invalid(
                    "deadlineSeconds",
                    value,
                    "a whole number from 1 to 172800 (48 hours)",
                ));
            }
        },
    };
    Ok(Trigger::ByHand {
        instance: InstanceId::parse(instance)?,
        deadline_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "i-1234567890abcdef0";

    /// The sample of Amazon EC2 Auto Scaling's documentation.
    fn launch_event() -> Value {
        json!({
            "version": "0", "id": "12345678-1234-1234-1234-123456789012",
            "detail-type": "EC2 Instance-launch Lifecycle Action", "source": "aws.autoscaling",
            "account": "123456789012", "time": "2026-11-23T10:00:00Z", "region": "us-west-2",
            "resources": ["auto-scaling-group-arn"],
            "detail": {
                "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
                "AutoScalingGroupName": "my-asg", "LifecycleHookName": "my-lifecycle-hook",
                "EC2InstanceId": ID, "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "NotificationMetadata": "additional-info", "Origin": "EC2", "Destination": "AutoScalingGroup"
            }
        })
    }

    fn refusal(input: &Value) -> String {
        let error = read(input).expect_err("bad input");
        assert_eq!(error.name, ErrorName::InvalidInput);
        error.message
    }

    #[test]
    fn the_documented_event_is_a_lifecycle_action() {
        let trigger = read(&launch_event()).expect("readable");
        assert_eq!(
            trigger,
            Trigger::LifecycleAction {
                instance: InstanceId::parse(ID).expect("valid"),
                group: "my-asg".into(),
                hook: "my-lifecycle-hook".into(),
                transition: "autoscaling:EC2_INSTANCE_LAUNCHING".into(),
            }
        );
    }

    #[test]
    fn an_event_of_another_kind_is_not_ours_and_no_error() {
        let mut event = launch_event();
        event["detail-type"] = json!("EC2 Instance Launch Successful");
        assert!(matches!(read(&event), Ok(Trigger::NotOurs(reason)) if reason.contains("Launch Successful")));
    }

    #[test]
    fn an_event_without_its_instance_names_the_field() {
        let mut event = launch_event();
        event["detail"]
            .as_object_mut()
            .expect("object")
            .remove("EC2InstanceId");
        assert!(refusal(&event).starts_with("detail.EC2InstanceId: "));
    }

    #[test]
    fn a_person_needs_to_give_the_instance_only() {
        let trigger = read(&json!({"instanceId": ID})).expect("readable");
        let instance = InstanceId::parse(ID).expect("valid");
        assert_eq!(
            trigger,
            Trigger::ByHand {
                instance,
                deadline_seconds: None
            }
        );
    }

    #[test]
    fn a_person_may_give_a_deadline_and_whether_the_instance_is_ended() {
        let trigger = read(&json!({"instanceId": ID, "deadlineSeconds": 600, "terminate": false}));
        assert!(matches!(
            trigger,
            Ok(Trigger::ByHand {
                deadline_seconds: Some(600),
                ..
            })
        ));
    }

    #[test]
    fn bad_input_gets_one_sentence_that_names_field_value_and_expectation() {
        for (input, field, value) in [
            (json!("i-1"), "the input", "\"i-1\""),
            (json!({}), "instanceId", "missing"),
            (json!({"instanceId": "web-1"}), "instanceId", "\"web-1\""),
            (json!({"instanceId": 7}), "instanceId", "7"),
            (
                json!({"instanceId": ID, "deadlineSeconds": 0}),
                "deadlineSeconds",
                "0",
            ),
            (
                json!({"instanceId": ID, "deadlineSeconds": "soon"}),
                "deadlineSeconds",
                "\"soon\"",
            ),
            (
                json!({"instanceId": ID, "terminate": "no"}),
                "terminate",
                "\"no\"",
            ),
        ] {
            let message = refusal(&input);
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
            assert!(message.contains(value), "{message}");
        }
        assert!(refusal(&json!({"instanceId": ID, "instanceID": ID})).contains("instanceID"));
    }
}
