//! Takes messages out of what SNS, SQS and Lambda's event sources wrap around them.

use serde_json::Value;

/// The deepest that services nest: records of SQS, of a topic, of an event.
const DEEPEST: usize = 5;

/// The messages in an input, or why one is none. Something without an envelope is itself the message.
pub(super) fn messages(input: &Value) -> Vec<Result<Value, String>> {
    let mut found = Vec::new();
    unwrap(input, 0, &mut found);
    found
}

fn unwrap(value: &Value, depth: usize, found: &mut Vec<Result<Value, String>>) {
    if depth > DEEPEST {
        found.push(Err(format!(
            "messages in more than {DEEPEST} envelopes are not opened"
        )));
    } else if let Some(items) = value.as_array().or_else(|| value["Records"].as_array()) {
        for item in items {
            unwrap(item, depth + 1, found);
        }
    } else if let Some(inner) = inside(value) {
        match inner.as_str().map(serde_json::from_str::<Value>) {
            Some(Ok(message)) => unwrap(&message, depth + 1, found),
            Some(Err(_)) => found.push(Err(format!(
                "a message that begins with {:?} is not JSON",
                beginning(inner.as_str().unwrap_or_default())
            ))),
            None => unwrap(inner, depth + 1, found),
        }
    } else {
        found.push(Ok(value.clone()));
    }
}

/// What an envelope holds; none where this is none. `Message` is how SNS spells it, `body` SQS as an event source of
/// Lambda and of pipes, `Body` its API, `detail` what is left of an event whose rule rewrites it.
fn inside(value: &Value) -> Option<&Value> {
    let fields = value.as_object()?;
    // An event of EventBridge is a message, whatever else its fields are called.
    if fields.contains_key("detail-type") || fields.contains_key("detail_type") {
        return None;
    }
    if let Some(sns) = fields.get("Sns") {
        return Some(sns);
    }
    let texts = ["Message", "body", "Body"].into_iter();
    texts
        .chain(
            fields
                .get("detail")
                .is_some_and(Value::is_object)
                .then_some("detail"),
        )
        .find_map(|field| fields.get(field))
}

/// The id of the outermost thing that has one: the same when it is delivered again.
pub(super) fn id(input: &Value) -> Option<String> {
    let first = |items: &Value| items.as_array().and_then(|items| id(items.first()?));
    first(input)
        .or_else(|| first(&input["Records"]))
        .or_else(|| {
            let fields = ["id", "messageId", "MessageId", "RequestId"].into_iter();
            let mut ids = fields.filter_map(|field| input[field].as_str());
            ids.next().map(ToOwned::to_owned)
        })
        .or_else(|| input.get("Sns").and_then(id))
}

fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}
