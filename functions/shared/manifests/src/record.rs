//! The record of what is applied: the drift check compares the cluster with it.

use serde_json::{Value, json};
use tidegate_domain::names;

/// A `ConfigMap` with all of these objects.
pub(crate) fn of(objects: &[Value]) -> String {
    let record = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": names::MANIFESTS_RECORD, "namespace": names::MANIFESTS_NAMESPACE },
        "data": { names::MANIFESTS_RECORD_KEY: Value::from(objects).to_string() },
    });
    // JSON is YAML.
    format!("# What was applied, for the drift check: it compares the cluster with this.\n{record}")
}
