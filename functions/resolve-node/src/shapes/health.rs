//! AWS Health: what AWS will do to instances on a day that it names, and what is wrong with an instance.
//! <https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html>

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{News, Notice, Trigger};

use super::event::Told;

/// AWS's own samples have days that were no such weekday.
static DAYS: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// The issue that concerns a cache on instance-store drives: some of them may not answer, or answer slowly. What else
/// Health reports as an issue of one instance says that it is unreachable already.
/// <https://github.com/aws/aws-health-tools/tree/master/automated-actions/AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED>
const DEGRADED_STORE: &str = "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED";

/// A trigger for each instance that is affected. The region of the event is not looked at: a backup region's bus may
/// have forwarded it, and `detail.eventRegion` is where the instance is.
pub(super) fn read(told: &Told<'_>) -> Vec<Trigger> {
    let code = told.text("eventTypeCode");
    let not_ours = |why: String| vec![Trigger::NotOurs(format!("AWS Health event {code:?} {why}"))];
    if told.text("service") != "EC2" {
        return not_ours(format!("is about {:?}, not about EC2", told.text("service")));
    }
    let news = match told.text("eventTypeCategory") {
        "scheduledChange" => News::ScheduledChange(code.to_owned()),
        "issue" if code == DEGRADED_STORE => News::DegradedStore(code.to_owned()),
        category => {
            return not_ours(format!(
                "is of category {category:?}: only scheduled changes and {DEGRADED_STORE} drain nodes"
            ));
        }
    };
    if told.text("statusCode") == "closed" {
        return not_ours("is over".to_owned());
    }
    let entities = told.detail.get("affectedEntities").and_then(Value::as_array);
    let triggers: Vec<_> = entities
        .into_iter()
        .flatten()
        .map(|entity| affected(told, &news, entity))
        .collect();
    if triggers.is_empty() {
        return not_ours("names no instance".to_owned());
    }
    triggers
}

fn affected(told: &Told<'_>, news: &News, entity: &Value) -> Trigger {
    let code = told.text("eventTypeCode");
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
            news: news.clone(),
            at: told.at,
            // An issue began before it was reported, which limits nothing.
            begins: moment(told.text("startTime")).filter(|_| matches!(news, News::ScheduledChange(_))),
        }),
        Err(_) => Trigger::NotOurs(format!("{value:?}, affected by {code:?}, is no instance")),
    }
}

/// `Sat, 05 Jun 2026 15:10:09 GMT` in Health's events, RFC 3339 in its API.
fn moment(text: &str) -> Option<Timestamp> {
    DAYS.parse_timestamp(text).ok().or_else(|| text.parse().ok())
}
