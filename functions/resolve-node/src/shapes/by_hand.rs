//! What a person types.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::several::MOST_AT_ONCE;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{Named, Trigger, Wishes};

/// What may be typed.
pub(super) const EXPECTED: &str = "an event, or an object such as {\"instanceId\": \"i-...\"}, {\"nodeName\": \"...\"}, \
                                   {\"instanceIds\": [...]} or {\"nodeNames\": [...]}";
/// The longest that a lifecycle hook can wait, and so the longest deadline that makes sense: 48 hours.
const LONGEST_SECONDS: u64 = 172_800;
/// Characters of a name in DNS.
const LONGEST_NAME: usize = 253;

/// The fields that name nodes: exactly one of them must be there.
const NAMING: [&str; 4] = ["instanceId", "nodeName", "instanceIds", "nodeNames"];
const DEADLINE: &str = "deadlineSeconds";
const TERMINATE: &str = "terminate";
const REPLACE: &str = "replace";
const RECLAIMED: &str = "reclaimed";
const PLAN: &str = "plan";
const IN_TURN: &str = "inTurn";
const BEFORE: &str = "before";
const FROM_EVENT: &str = "fromEvent";
/// What may be said beside the nodes.
const WISHES: [&str; 8] = [
    DEADLINE, TERMINATE, REPLACE, RECLAIMED, PLAN, IN_TURN, BEFORE, FROM_EVENT,
];

/// Whether one of these fields is one that people type, perhaps misspelled. Not with hyphens: that is how EC2 spells
/// the fields of its events, `instance-id` among them.
pub(super) fn looks_typed(fields: &Map<String, Value>) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['_', ' '], "");
    // Shapes of AWS come first: an SNS message may have any attribute.
    !fields.contains_key("detail-type")
        && !fields.contains_key("detail_type")
        && fields.keys().any(|field| {
            let known = |name: &&str| plain(name) == plain(field);
            NAMING.iter().chain(&WISHES).any(known)
        })
}

/// Reads what a person typed: a trigger for each node that is named.
pub(super) fn read(input: &Value) -> Result<Vec<Trigger>> {
    let Some(fields) = input.as_object() else {
        return Err(super::unknown(input));
    };
    let named = named(fields)?;
    let wishes = Wishes {
        deadline_seconds: deadline_seconds(fields)?,
        terminate: switch(fields, TERMINATE)?,
        replace: switch(fields, REPLACE)?.unwrap_or_default(),
        reclaimed: switch(fields, RECLAIMED)?.unwrap_or_default(),
        plan: switch(fields, PLAN)?.unwrap_or_default(),
        in_turn: switch(fields, IN_TURN)?.unwrap_or_default(),
        before: before(fields)?,
        from_event: switch(fields, FROM_EVENT)?.unwrap_or_default(),
    };
    Ok(named
        .into_iter()
        .map(|named| Trigger::ByHand(named, wishes.clone()))
        .collect())
}

fn named(fields: &Map<String, Value>) -> Result<Vec<Named>> {
    for field in fields.keys() {
        let known = NAMING.iter().chain(&WISHES);
        if !known.clone().any(|name| name == field) {
            let names: Vec<_> = known.copied().collect();
            return Err(Error::invalid(
                "the input",
                format_args!("a field {field:?}"),
                &format!("one that is known here ({})", names.join(", ")),
            ));
        }
    }
    let mut given = NAMING
        .into_iter()
        .filter_map(|name| Some((name, fields.get(name)?)));
    match (given.next(), given.next()) {
        (None, _) => Err(Error::invalid("instanceId", "a missing value", EXPECTED)),
        (Some((one, _)), Some((other, _))) => Err(Error::invalid(
            one,
            format_args!("a value beside {other}"),
            "possible: give one of them",
        )),
        (Some((field @ ("instanceId" | "nodeName"), value)), None) => Ok(vec![one(field, field, value)?]),
        (Some((field, value)), None) => list(field, value),
    }
}

fn list(field: &str, value: &Value) -> Result<Vec<Named>> {
    let items = value
        .as_array()
        .filter(|items| (1..=MOST_AT_ONCE).contains(&items.len()));
    let Some(items) = items else {
        let count = value.as_array().map(Vec::len);
        let value = count.map_or_else(|| value.to_string(), |count| format!("a list of {count}"));
        return Err(Error::invalid(
            field,
            value,
            &format!("a list of 1 to {MOST_AT_ONCE} texts"),
        ));
    };
    let items = items.iter().enumerate();
    items
        .map(|(index, item)| one(field, &format!("{field}[{index}]"), item))
        .collect()
}

fn one(field: &str, place: &str, value: &Value) -> Result<Named> {
    if field.starts_with("instance") {
        let id = value.as_str().and_then(|text| InstanceId::parse(text).ok());
        id.map(Named::Instance).ok_or_else(|| {
            Error::invalid(
                place,
                value,
                "an EC2 instance id (i- and 8 or 17 lower-case hexadecimal digits)",
            )
        })
    } else {
        node(place, value)
    }
}

/// A node's name. It goes into a filter of EC2, in which `*` and `?` would stand for other names.
fn node(place: &str, value: &Value) -> Result<Named> {
    let name = value.as_str().unwrap_or_default();
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(letter) {
        return Err(Error::invalid(
            place,
            value,
            "the name of a node (lower-case letters, digits, hyphens and dots)",
        ));
    }
    // EKS Auto Mode names nodes by their instances.
    let first = name.split('.').next().unwrap_or_default();
    Ok(InstanceId::parse(first).map_or_else(|_| Named::Node(name.to_owned()), Named::Instance))
}

fn switch(fields: &Map<String, Value>, field: &str) -> Result<Option<bool>> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(value) => Err(Error::invalid(field, value, "true or false")),
    }
}

fn before(fields: &Map<String, Value>) -> Result<Option<Timestamp>> {
    match fields.get(BEFORE) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().map(str::parse) {
            Some(Ok(instant)) => Ok(Some(instant)),
            _ => Err(Error::invalid(
                BEFORE,
                value,
                "an instant such as 2027-01-31T06:00:00Z",
            )),
        },
    }
}

fn deadline_seconds(fields: &Map<String, Value>) -> Result<Option<u32>> {
    match fields.get(DEADLINE) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds))
            .and_then(|seconds| u32::try_from(seconds).ok())
            .map(Some)
            .ok_or_else(|| {
                Error::new(
                    ErrorName::InvalidInput,
                    format!(
                        "{DEADLINE}: {value} is not a whole number from 1 to {LONGEST_SECONDS} (48 hours)"
                    ),
                )
            }),
    }
}
