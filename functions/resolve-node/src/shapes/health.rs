//! AWS Health: what AWS will do to instances on a day that it names.
//! <https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html>

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{News, Notice, Trigger};

use super::event::time;

/// AWS's own samples have days that were no such weekday.
static DAYS: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// A trigger for each instance that is affected.
pub(super) fn read(event: &EventBridgeEvent<Value>) -> Vec<Trigger> {
    let detail = |field: &str| {
        event
            .detail
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let code = detail("eventTypeCode");
    let not_ours = |why: String| vec![Trigger::NotOurs(format!("AWS Health event {code:?} {why}"))];
    if detail("service") != "EC2" {
        return not_ours(format!("is about {:?}, not about EC2", detail("service")));
    }
    if detail("eventTypeCategory") != "scheduledChange" {
        return not_ours(format!(
            "is of category {:?}, and only scheduled changes drain nodes",
            detail("eventTypeCategory")
        ));
    }
    if detail("statusCode") == "closed" {
        return not_ours("is over".to_owned());
    }
    let entities = event.detail.get("affectedEntities").and_then(Value::as_array);
    let triggers: Vec<_> = entities
        .into_iter()
        .flatten()
        .map(|entity| affected(event, code, entity))
        .collect();
    if triggers.is_empty() {
        return not_ours("names no instance".to_owned());
    }
    triggers
}

fn affected(event: &EventBridgeEvent<Value>, code: &str, entity: &Value) -> Trigger {
    let value = entity
        .get("entityValue")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Some name an instance by its ARN, which ends in `instance/i-...`.
    let id = value.rsplit('/').next().unwrap_or_default();
    match InstanceId::parse(id) {
        Ok(instance) if entity.get("status").and_then(Value::as_str) == Some("RESOLVED") => {
            Trigger::NotOurs(format!("instance {instance} is no longer affected by {code:?}"))
        }
        Ok(instance) => Trigger::Notice(Notice {
            instance,
            news: News::ScheduledChange(code.to_owned()),
            at: time(event),
            begins: event
                .detail
                .get("startTime")
                .and_then(Value::as_str)
                .and_then(moment),
        }),
        Err(_) => Trigger::NotOurs(format!("{value:?}, affected by {code:?}, is no instance")),
    }
}

/// `Sat, 05 Jun 2026 15:10:09 GMT` in Health's events, RFC 3339 in its API.
fn moment(text: &str) -> Option<Timestamp> {
    DAYS.parse_timestamp(text).ok().or_else(|| text.parse().ok())
}
