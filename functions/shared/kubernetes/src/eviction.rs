use k8s_openapi::api::policy::v1::Eviction as EvictionBody;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::core::Status;
use tidegate_domain::node::Pod;
use tidegate_domain::ports::{Deletion, Eviction, Refusal, RefusedBy};

use crate::errors::{Asked, refusal};

/// The cause in a 429 that a disruption budget gave; any other 429 is the API server's own limit.
const BUDGET_CAUSE: &str = "DisruptionBudget";
/// The cause in a 403 for a pod of a namespace that is being deleted, and the pod with it.
const NAMESPACE_CAUSE: &str = "NamespaceTerminating";
/// The API server's answer (500) for a pod that several budgets select: it never evicts such a pod.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/#how-api-initiated-eviction-works>
const SEVERAL_BUDGETS: &str = "more than one PodDisruptionBudget";
/// The API server's words for two writers of one object (the budget, or the pod), one of whom tries again. Any other
/// conflict is of the UID: another pod has the name by now. That one has several spellings, this has one
/// (`OptimisticLockErrorMsg` in `k8s.io/apiserver/pkg/registry/generic/registry`).
const TWO_WRITERS: &str = "the object has been modified";

/// The body of an eviction of exactly this pod. `kube::Api::evict` leaves the precondition out:
/// <https://github.com/kube-rs/kube/blob/5.0.0/kube-core/src/subresource.rs>.
pub(crate) fn eviction_body(pod: &Pod) -> EvictionBody {
    EvictionBody {
        metadata: ObjectMeta {
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteOptions::default()
        }),
    }
}

/// What an answer other than success says of the pod.
pub(crate) fn eviction_refused(function: &str, asked: Asked, status: &Status) -> Eviction {
    let refusal = refusal(function, asked, status);
    if gone(&refusal, status) || causes(status).any(|(reason, _)| reason == NAMESPACE_CAUSE) {
        return Eviction::Accepted;
    }
    match status.code {
        // Admission denies with whatever code it likes, also with one that means something else of the API server.
        _ if refusal.by != RefusedBy::Server => Eviction::Refused(refusal),
        409 => Eviction::Throttled,
        429 => {
            let budgets: Vec<_> = causes(status)
                .filter(|(reason, _)| *reason == BUDGET_CAUSE)
                .map(|(_, message)| message)
                .collect();
            if budgets.is_empty() {
                Eviction::Throttled
            } else {
                Eviction::Blocked(budgets.join("; "))
            }
        }
        500 if status.message.contains(SEVERAL_BUDGETS) => Eviction::Blocked(format!(
            "{} (this never clears by itself: one of the budgets must go)",
            status.message
        )),
        _ => Eviction::Refused(refusal),
    }
}

/// The same of a deletion.
pub(crate) fn deletion_refused(function: &str, asked: Asked, status: &Status) -> Deletion {
    let refusal = refusal(function, asked, status);
    if gone(&refusal, status) {
        Deletion::Gone
    } else {
        Deletion::Refused(refusal)
    }
}

/// Whether the pod is gone, or another has its name by now.
fn gone(refusal: &Refusal, status: &Status) -> bool {
    refusal.by == RefusedBy::Server
        && (status.code == 404 || status.code == 409 && !status.message.contains(TWO_WRITERS))
}

fn causes(status: &Status) -> impl Iterator<Item = (&str, &str)> {
    status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .map(|cause| (cause.reason.as_str(), cause.message.as_str()))
}
