//! Events of EventBridge, whole or only their detail.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{News, Notice, Trigger};

use super::{flat, health};

/// Characters of an error that a reason quotes.
const QUOTED: usize = 200;

/// An event's detail, and the time of the event.
pub(super) struct Told<'a> {
    /// `detail`.
    pub(super) detail: &'a Value,
    /// `time`; none where only the detail was sent.
    pub(super) at: Option<Timestamp>,
}

impl Told<'_> {
    /// A text field of the detail; empty where there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.detail.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Reads the events of one type.
type Read = fn(&str, &Told<'_>) -> Vec<Trigger>;

/// The detail types that are read, with who sends them and how they are read.
///
/// Capacity reservations: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html> (an
/// earlier edition of that page has the longer name) and, for the instances of a capacity block that ends,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-monitor.html>.
static READERS: [(&str, &str, Read); 8] = [
    ("EC2 Instance-launch Lifecycle Action", "aws.autoscaling", action),
    (
        "EC2 Instance-terminate Lifecycle Action",
        "aws.autoscaling",
        action,
    ),
    ("EC2 Spot Instance Interruption Warning", "aws.ec2", spot_warning),
    (CAPACITY_WARNING, "aws.ec2", capacity_warning),
    (
        "EC2 Interruptible Capacity Reservation Instance Interruption Warning",
        "aws.ec2",
        capacity_warning,
    ),
    (
        "EC2 Instance Rebalance Recommendation",
        "aws.ec2",
        rebalance_recommendation,
    ),
    ("EC2 Instance State-change Notification", "aws.ec2", state_change),
    ("AWS Health Event", "aws.health", health_event),
];

const CAPACITY_WARNING: &str = "EC2 Capacity Reservation Instance Interruption Warning";

/// The triggers in a message, at least one.
pub(super) fn read(message: &Value) -> Vec<Trigger> {
    let message = &as_delivered(message);
    if message.get("detail-type").is_none() {
        return detail_alone(message);
    }
    match EventBridgeEvent::<Value>::deserialize(message) {
        Ok(event) => triggers(&event),
        Err(error) => {
            let why: String = error.to_string().chars().take(QUOTED).collect();
            vec![Trigger::NotOurs(format!("the event cannot be read: {why}"))]
        }
    }
}

/// The event as EventBridge delivers events. The user guide's samples of capacity events have `detail_type`, and one
/// text for the list of `resources`.
fn as_delivered(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        if let (false, Some(kind)) = (fields.contains_key("detail-type"), fields.remove("detail_type")) {
            fields.insert("detail-type".to_owned(), kind);
        }
        if let Some(one @ Value::String(_)) = fields.get("resources").cloned() {
            fields.insert("resources".to_owned(), json!([one]));
        }
    }
    message
}

fn triggers(event: &EventBridgeEvent<Value>) -> Vec<Trigger> {
    let kind = event.detail_type.as_str();
    let Some((_, source, read)) = READERS.iter().find(|(known, ..)| *known == kind) else {
        return vec![Trigger::NotOurs(no_concern(kind))];
    };
    if event.source == *source {
        let at = event
            .time
            .and_then(|time| Timestamp::from_second(time.timestamp()).ok());
        let detail = &event.detail;
        read(kind, &Told { detail, at })
    } else {
        vec![Trigger::NotOurs(format!(
            "an event of type {kind:?} comes from {source}, and this one from {:?}",
            event.source
        ))]
    }
}

fn no_concern(kind: &str) -> String {
    if kind.starts_with("EC2 Auto Scaling Instance Refresh") {
        format!(
            "{kind:?} tells how an instance refresh goes; each launch and each end of it comes as a lifecycle action"
        )
    } else if kind.starts_with("Capacity Block") {
        format!("{kind:?} names no instance; each of its instances gets {CAPACITY_WARNING:?}")
    } else {
        format!("events of type {kind:?} are no concern of this state machine")
    }
}

/// The triggers in a message without a type: the fields of a lifecycle action, or the detail of an event from a rule
/// whose target gets `$.detail` alone. A detail is read where its fields occur in one type of event only.
fn detail_alone(message: &Value) -> Vec<Trigger> {
    let told = Told {
        detail: message,
        at: None,
    };
    let has = |field: &str| message.get(field).is_some();
    if has("eventTypeCode") && has("eventTypeCategory") {
        health::read(&told)
    } else if !has("instance-id") {
        vec![flat::read(message)]
    } else if has("instance-termination-time") {
        capacity_warning(CAPACITY_WARNING, &told)
    } else if has("instance-action") {
        spot_warning("EC2 Spot Instance Interruption Warning", &told)
    } else if has("state") {
        state_change("EC2 Instance State-change Notification", &told)
    } else {
        vec![Trigger::NotOurs(format!(
            "a message that says nothing but \"instance-id\": {} does not say what happened to it: the rule must send \
             the whole event; a person types {{\"instanceId\": \"i-...\"}}",
            message["instance-id"]
        ))]
    }
}

fn health_event(_: &str, told: &Told<'_>) -> Vec<Trigger> {
    health::read(told)
}

fn action(_: &str, told: &Told<'_>) -> Vec<Trigger> {
    vec![flat::read(told.detail)]
}

fn spot_warning(kind: &str, told: &Told<'_>) -> Vec<Trigger> {
    vec![notice(kind, told, News::SpotInterruption, None)]
}

fn rebalance_recommendation(kind: &str, told: &Told<'_>) -> Vec<Trigger> {
    vec![notice(kind, told, News::RebalanceRecommendation, None)]
}

fn capacity_warning(kind: &str, told: &Told<'_>) -> Vec<Trigger> {
    let ends = told.text("instance-termination-time").parse().ok();
    vec![notice(kind, told, News::CapacityInterruption, ends)]
}

fn state_change(kind: &str, told: &Told<'_>) -> Vec<Trigger> {
    vec![match told.detail["state"].as_str() {
        Some(state) => notice(kind, told, News::StateChange(state.to_owned()), None),
        None => Trigger::NotOurs(format!("{kind:?} tells no state")),
    }]
}

fn notice(kind: &str, told: &Told<'_>, news: News, begins: Option<Timestamp>) -> Trigger {
    let id = told.detail.get("instance-id").unwrap_or(&Value::Null);
    match id.as_str().and_then(|id| InstanceId::parse(id).ok()) {
        Some(instance) => Trigger::Notice(Notice {
            instance,
            news,
            at: told.at,
            begins,
        }),
        None => Trigger::NotOurs(format!(
            "{kind:?} names no instance: its detail.instance-id is {id}"
        )),
    }
}
