use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use tidegate_domain::node::{Node, NodeChange, Taint};

/// The JSON merge patch (RFC 7386) that makes a change to a node as it was seen.
///
/// `metadata.resourceVersion` in it makes the API server refuse the patch (409) when the node has changed since;
/// without it a list of taints, which is replaced as a whole, could bring a taint back that somebody took off.
pub(crate) fn node_patch(node: &Node, change: &NodeChange) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), json!(node.resource_version));
    if !change.labels.is_empty() {
        metadata.insert("labels".to_owned(), json!(change.labels));
    }
    if !change.annotations.is_empty() {
        metadata.insert("annotations".to_owned(), json!(change.annotations));
    }
    let mut spec = Map::new();
    if change.cordon {
        spec.insert("unschedulable".to_owned(), json!(true));
    }
    if change.uncordon {
        // Absent, as on a node that never was cordoned.
        spec.insert("unschedulable".to_owned(), Value::Null);
    }
    if change.remove_startup_taint {
        let taints: Vec<_> = node.other_taints.iter().map(taint).collect();
        spec.insert("taints".to_owned(), json!(taints));
    }
    let mut patch = Map::new();
    patch.insert("metadata".to_owned(), Value::Object(metadata));
    if !spec.is_empty() {
        patch.insert("spec".to_owned(), Value::Object(spec));
    }
    Value::Object(patch)
}

fn taint(taint: &Taint) -> core::Taint {
    core::Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
        time_added: taint.time_added.map(Time),
    }
}
