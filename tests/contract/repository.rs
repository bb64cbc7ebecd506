//! The files of this repository.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml_ng::value::TaggedValue;

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

/// The text of a file, by its path from the top.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// The JSON of a file.
pub(crate) fn json(path: &str) -> serde_json::Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path} is no JSON: {error}"))
}

/// What a function may do on AWS; none where that is nothing.
pub(crate) fn iam(function: &str) -> Option<serde_json::Value> {
    let path = format!("functions/{function}/iam.json");
    root().join(&path).exists().then(|| json(&path))
}

/// The YAML documents of a file as JSON. `CloudFormation`'s short tags become what they are short for: `!Ref X` is
/// `{"Ref": "X"}`, `!GetAtt X.Arn` is `{"Fn::GetAtt": ["X", "Arn"]}`.
pub(crate) fn yaml(path: &str) -> Vec<serde_json::Value> {
    serde_yaml_ng::Deserializer::from_str(&read(path))
        .map(|document| {
            let value = serde_yaml_ng::Value::deserialize(document)
                .unwrap_or_else(|error| panic!("{path} is no YAML: {error}"));
            without_tags(value)
        })
        .filter(|document| !document.is_null())
        .collect()
}

fn without_tags(value: serde_yaml_ng::Value) -> serde_json::Value {
    use serde_yaml_ng::Value;
    match value {
        Value::Tagged(tagged) => {
            let TaggedValue { tag, value } = *tagged;
            let tag = tag.to_string();
            let name = tag.trim_start_matches('!');
            let inner = without_tags(value);
            match (name, inner) {
                ("Ref" | "Condition", inner) => serde_json::json!({ name: inner }),
                ("GetAtt", serde_json::Value::String(path)) => {
                    let parts: Vec<_> = path.splitn(2, '.').collect();
                    serde_json::json!({ "Fn::GetAtt": parts })
                }
                (name, inner) => serde_json::json!({ format!("Fn::{name}"): inner }),
            }
        }
        Value::Sequence(items) => items.into_iter().map(without_tags).collect(),
        Value::Mapping(fields) => fields
            .into_iter()
            .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), without_tags(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        scalar => serde_json::to_value(scalar).expect("a scalar of YAML is one of JSON"),
    }
}

/// The names of the function packages, `functions/<verb>-<noun>`, sorted.
pub(crate) fn functions() -> Vec<String> {
    let entries = fs::read_dir(root().join("functions")).expect("functions/ is there");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.contains('-'))
        .collect();
    names.sort();
    names
}

/// `label-node` as a state of a state machine: `LabelNode`.
pub(crate) fn pascal_case(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}
