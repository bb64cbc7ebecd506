//! Events of EventBridge.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{News, Notice, Trigger};

use super::{flat, health};

/// Characters of an error that are told.
const TOLD: usize = 200;

/// Reads the events of one type.
type Read = fn(&EventBridgeEvent<Value>) -> Vec<Trigger>;

/// The triggers in a message, at least one.
pub(super) fn read(message: &Value) -> Vec<Trigger> {
    if message.get("detail-type").is_none() {
        return vec![flat::read(message)];
    }
    match EventBridgeEvent::<Value>::deserialize(message) {
        Ok(event) => triggers(&event),
        Err(error) => {
            let why: String = error.to_string().chars().take(TOLD).collect();
            vec![Trigger::NotOurs(format!("the event cannot be read: {why}"))]
        }
    }
}

fn triggers(event: &EventBridgeEvent<Value>) -> Vec<Trigger> {
    let kind = event.detail_type.as_str();
    let (source, read): (&str, Read) = match kind {
        "EC2 Instance-launch Lifecycle Action" | "EC2 Instance-terminate Lifecycle Action" => {
            ("aws.autoscaling", |event| vec![flat::read(&event.detail)])
        }
        "EC2 Spot Instance Interruption Warning" => {
            ("aws.ec2", |event| vec![notice(event, News::SpotInterruption)])
        }
        "EC2 Instance Rebalance Recommendation" => ("aws.ec2", |event| {
            vec![notice(event, News::RebalanceRecommendation)]
        }),
        "EC2 Instance State-change Notification" => ("aws.ec2", |event| vec![state_change(event)]),
        "AWS Health Event" => ("aws.health", health::read),
        _ => return vec![Trigger::NotOurs(no_concern(kind))],
    };
    if event.source == source {
        read(event)
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
    } else {
        format!("events of type {kind:?} are no concern of this state machine")
    }
}

fn notice(event: &EventBridgeEvent<Value>, news: News) -> Trigger {
    let id = event.detail.get("instance-id").unwrap_or(&Value::Null);
    match id.as_str().and_then(|id| InstanceId::parse(id).ok()) {
        Some(instance) => Trigger::Notice(Notice {
            instance,
            news,
            at: time(event),
            begins: None,
        }),
        None => Trigger::NotOurs(format!(
            "{:?} names no instance: its detail.instance-id is {id}",
            event.detail_type
        )),
    }
}

fn state_change(event: &EventBridgeEvent<Value>) -> Trigger {
    match event.detail["state"].as_str() {
        Some(state) => notice(event, News::StateChange(state.to_owned())),
        None => Trigger::NotOurs(format!("{:?} tells no state", event.detail_type)),
    }
}

/// When that happened that the event tells of.
pub(super) fn time(event: &EventBridgeEvent<Value>) -> Option<Timestamp> {
    event
        .time
        .and_then(|time| Timestamp::from_second(time.timestamp()).ok())
}
