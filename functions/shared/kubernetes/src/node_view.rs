use k8s_openapi::api::core::v1 as core;
use tidegate_domain::names;
use tidegate_domain::node::{Node, Taint};

/// A node as the decisions see it.
pub(crate) fn node_view(node: core::Node) -> Node {
    let meta = node.metadata;
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let (startup, others): (Vec<_>, Vec<_>) = spec
        .taints
        .unwrap_or_default()
        .into_iter()
        .partition(|taint| taint.key == names::STARTUP_TAINT);
    Node {
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta.resource_version.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
        provider_id: spec.provider_id.unwrap_or_default(),
        unschedulable: spec.unschedulable.unwrap_or_default(),
        startup_taint: !startup.is_empty(),
        other_taints: others.into_iter().map(taint_view).collect(),
        ready: status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        internal_ip: status
            .addresses
            .unwrap_or_default()
            .into_iter()
            .find(|address| address.type_ == "InternalIP")
            .map(|address| address.address),
    }
}

fn taint_view(taint: core::Taint) -> Taint {
    Taint {
        key: taint.key,
        value: taint.value,
        effect: taint.effect,
        time_added: taint.time_added.map(|time| time.0),
    }
}
