//! The record of what is applied: the drift check compares the cluster with it.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_domain::names;

use crate::Error;

/// A `ConfigMap` with all objects of these documents.
pub(crate) fn of(documents: &[String]) -> Result<String, Error> {
    let mut objects = Vec::new();
    for document in documents {
        for part in serde_yaml_ng::Deserializer::from_str(document) {
            let object = Value::deserialize(part)
                .map_err(|error| Error(format!("a rendered manifest is no YAML: {error}")))?;
            objects.push(object);
        }
    }
    let record = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": names::MANIFESTS_RECORD, "namespace": names::MANIFESTS_NAMESPACE },
        "data": { names::MANIFESTS_RECORD_KEY: Value::Array(objects).to_string() },
    });
    // JSON is YAML.
    Ok(format!(
        "# What was applied, for the drift check: it compares the cluster with this.\n{record}"
    ))
}
