use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod as CorePod, PodStatus, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use tidegate_domain::names;
use tidegate_domain::node::{PastCordon, Pod};

/// Marks the record of a static pod: the kubelet makes it again when it is deleted.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Reasons why a container waits that are no trouble: it is on its way.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// A pod as the decisions see it.
pub(crate) fn pod_view(pod: CorePod) -> Pod {
    let meta = pod.metadata;
    let status = pod.status.unwrap_or_default();
    let spec = pod.spec.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    Pod {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        controller_kind: meta
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| owner.kind),
        created: meta.creation_timestamp.map(|time| time.0),
        past_cordon: if spec.tolerations.iter().flatten().any(tolerates_cordon) {
            Some(PastCordon::Tolerates)
        } else if meta.managed_fields.iter().flatten().any(sets_node_name) {
            Some(PastCordon::NamesNode)
        } else {
            None
        },
        role: meta
            .labels
            .and_then(|mut labels| labels.remove(names::ROLE_LABEL)),
        mirror: meta
            .annotations
            .is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION)),
        finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        deletion_time: meta.deletion_timestamp.map(|time| time.0),
        ready: ready.is_some_and(|condition| condition.status == "True"),
        ready_since: ready.and_then(|condition| Some(condition.last_transition_time.as_ref()?.0)),
        start_time: status.start_time.as_ref().map(|time| time.0),
        grace_period_seconds: spec
            .termination_grace_period_seconds
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or_default(),
        host_ip: status.host_ip.clone(),
        has_run: status.container_statuses.iter().flatten().any(has_run),
        trouble: trouble(&status),
    }
}

/// Whether it matches the taint of a cordon, of effect `NoSchedule` and without a value.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#concepts>
fn tolerates_cordon(toleration: &Toleration) -> bool {
    let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let exists = toleration.operator.as_deref() == Some("Exists");
    let key = match toleration.key.as_deref() {
        None | Some("") => exists,
        Some(key) => key == names::CORDON_TAINT && (exists || empty(&toleration.value)),
    };
    key && (empty(&toleration.effect) || toleration.effect.as_deref() == Some("NoSchedule"))
}

/// Whether somebody set `spec.nodeName` as a field of the pod. The scheduler does not: it binds by the subresource
/// `binding`, which owns no field.
fn sets_node_name(entry: &ManagedFieldsEntry) -> bool {
    entry
        .fields_v1
        .as_ref()
        .is_some_and(|fields| fields.0.pointer("/f:spec/f:nodeName").is_some())
}

fn has_run(container: &ContainerStatus) -> bool {
    let ran = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    container.restart_count > 0
        || container.state.as_ref().is_some_and(ran)
        || container.last_state.as_ref().is_some_and(ran)
}

/// What a container, or failing that the pod as a whole, says of why it does not run.
fn trouble(status: &PodStatus) -> Option<String> {
    let containers = status.init_container_statuses.iter().flatten();
    containers
        .chain(status.container_statuses.iter().flatten())
        .find_map(container_trouble)
        .or_else(|| {
            let reason = status.reason.as_deref()?;
            Some(said(reason, status.message.as_deref()))
        })
        .or_else(|| {
            let unscheduled = status
                .conditions
                .iter()
                .flatten()
                .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
            Some(said(
                unscheduled.reason.as_deref()?,
                unscheduled.message.as_deref(),
            ))
        })
}

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| !ON_ITS_WAY.contains(reason))?;
    let text = format!(
        "container {}: {}",
        container.name,
        said(reason, waiting.message.as_deref())
    );
    let ended = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    Some(match ended {
        Some(ended) => format!("{text} (last ended with exit code {})", ended.exit_code),
        None => text,
    })
}

fn said(reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason.to_owned(),
    }
}
