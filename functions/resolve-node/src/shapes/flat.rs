//! The fields of a lifecycle action: the detail of its event, and the whole body that Auto Scaling itself sends to
//! SQS or SNS.

use serde_json::Value;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{LifecycleAction, Place, Trigger};

/// Sent once when a hook or a notification is set up, as either field.
const TEST: &str = "autoscaling:TEST_NOTIFICATION";

/// The trigger in these fields.
pub(super) fn read(fields: &Value) -> Trigger {
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let (event, transition) = (text("Event"), text("LifecycleTransition"));
    if event == TEST || transition == TEST {
        return Trigger::NotOurs(format!(
            "a test notification of group {:?}: its notifications arrive here",
            text("AutoScalingGroupName")
        ));
    }
    if !event.is_empty() && transition.is_empty() {
        return Trigger::NotOurs(format!(
            "{event:?} tells what a group has done, and nothing waits for an answer"
        ));
    }
    if transition.is_empty() {
        return Trigger::NotOurs(not_understood(fields));
    }
    let missing = ["AutoScalingGroupName", "LifecycleHookName"]
        .into_iter()
        .find(|field| text(field).is_empty());
    if let Some(field) = missing {
        return Trigger::NotOurs(format!("a lifecycle action without {field} is nobody's"));
    }
    match InstanceId::parse(text("EC2InstanceId")) {
        Ok(instance) => Trigger::LifecycleAction(LifecycleAction {
            instance,
            group: text("AutoScalingGroupName").to_owned(),
            hook: text("LifecycleHookName").to_owned(),
            transition: transition.to_owned(),
            origin: Place::of(text("Origin")),
            destination: Place::of(text("Destination")),
        }),
        Err(_) => Trigger::NotOurs(format!(
            "a lifecycle action whose EC2InstanceId is {:?} names no instance",
            text("EC2InstanceId")
        )),
    }
}

/// The names of a few fields say more than a whole message of unknown length.
fn not_understood(message: &Value) -> String {
    const TOLD: usize = 8;
    let name = |field: &String| field.chars().take(40).collect::<String>();
    message.as_object().map_or_else(
        || "a message that is no JSON object is not understood".to_owned(),
        |fields| {
            let names: Vec<_> = fields.keys().take(TOLD).map(name).collect();
            format!(
                "a message with the fields {} is neither an event that is known here nor a lifecycle action",
                names.join(", ")
            )
        },
    )
}
