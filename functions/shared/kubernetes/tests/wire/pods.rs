#![allow(clippy::expect_used, reason = "part of tests")]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::node::{PastCordon, Pod};
use tidegate_domain::ports::{Deletion, Eviction, Pods, Refusal, RefusedBy};

use crate::script::{Answer, Script};

fn pod() -> Pod {
    Pod {
        namespace: "spark".into(),
        name: "driver".into(),
        uid: "pod-uid".into(),
        grace_period_seconds: 30,
        ..Pod::default()
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

async fn seen(pod: Value) -> Pod {
    let script = Script::with([Answer::list(&[pod])]);
    let mut pods = script
        .cluster
        .on_node("ours", None, Duration::ZERO, &|_| true)
        .await
        .unwrap_or_default();
    pods.pop().unwrap_or_default()
}

#[tokio::test]
async fn the_pods_of_a_node_are_selected_by_its_name() {
    let script = Script::with([Answer::list(&[]), Answer::list(&[])]);
    for only in [None, Some(("alluxio", "role=alluxio-worker"))] {
        let pods = script
            .cluster
            .on_node("ours", only, Duration::ZERO, &|_| true)
            .await;
        assert_eq!(pods, Ok(Vec::new()));
    }
    let asked = script.asked();
    assert_eq!(asked[0].line, "GET /api/v1/pods");
    assert_eq!(asked[0].parameter("labelSelector"), None);
    assert_eq!(asked[1].line, "GET /api/v1/namespaces/alluxio/pods");
    assert_eq!(asked[1].parameter("labelSelector"), Some("role=alluxio-worker"));
    for asked in asked {
        assert_eq!(asked.parameter("fieldSelector"), Some("spec.nodeName=ours"));
    }
}

#[tokio::test]
async fn a_pod_is_seen_with_its_owner_readiness_and_end() {
    let found = seen(json!({
        "metadata": {"namespace": "alluxio", "name": "w", "uid": "u", "deletionTimestamp": "2026-01-02T03:06:05Z",
            "creationTimestamp": "2026-01-02T03:04:04Z",
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"},
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]},
        "spec": {"terminationGracePeriodSeconds": 120, "containers": []},
        "status": {"phase": "Running", "startTime": "2026-01-02T03:04:05Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:05:05Z"}]},
    }))
    .await;
    assert_eq!(
        found,
        Pod {
            namespace: "alluxio".into(),
            name: "w".into(),
            uid: "u".into(),
            controller_kind: Some("DaemonSet".into()),
            created: Some(time("2026-01-02T03:04:04Z")),
            past_cordon: None,
            role: None,
            mirror: true,
            finished: false,
            deletion_time: Some(time("2026-01-02T03:06:05Z")),
            ready: true,
            ready_since: Some(time("2026-01-02T03:05:05Z")),
            start_time: Some(time("2026-01-02T03:04:05Z")),
            grace_period_seconds: 120,
            host_ip: None,
            has_run: false,
            trouble: None,
        }
    );
}

#[tokio::test]
async fn a_pod_says_why_it_does_not_run_but_not_that_it_is_on_its_way() {
    let waiting = |reason: &str, message: &str| {
        json!({"metadata": {"name": "w"}, "status": {"containerStatuses": [{
            "name": "worker", "image": "i", "imageID": "i", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": {"exitCode": 137}}}]}})
    };
    assert_eq!(
        seen(waiting("CrashLoopBackOff", "back-off 40s"))
            .await
            .trouble
            .as_deref(),
        Some("container worker: CrashLoopBackOff: back-off 40s (last ended with exit code 137)")
    );
    assert_eq!(seen(waiting("ContainerCreating", "")).await.trouble, None);
    let rejected = json!({"metadata": {"name": "w"},
        "status": {"phase": "Failed", "reason": "OutOfmemory", "message": "Node didn't have enough memory"}});
    let rejected = seen(rejected).await;
    assert!(rejected.finished);
    assert_eq!(
        rejected.trouble.as_deref(),
        Some("OutOfmemory: Node didn't have enough memory")
    );
}

#[tokio::test]
async fn a_pod_tells_whether_it_tolerates_a_cordon() {
    let cordon = "node.kubernetes.io/unschedulable";
    for (toleration, tolerates) in [
        (json!({"operator": "Exists"}), true),
        (json!({"operator": "Exists", "effect": "NoSchedule"}), true),
        (json!({"operator": "Exists", "effect": "NoExecute"}), false),
        (json!({"key": cordon, "operator": "Exists"}), true),
        (json!({"key": cordon, "effect": "NoSchedule"}), true),
        (json!({"key": cordon, "operator": "Equal", "value": ""}), true),
        (json!({"key": cordon, "operator": "Equal", "value": "x"}), false),
        (json!({"key": "dedicated", "operator": "Exists"}), false),
    ] {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [], "tolerations": [toleration]}});
        let expected = tolerates.then_some(PastCordon::Tolerates);
        assert_eq!(seen(pod).await.past_cordon, expected, "{toleration}");
    }
}

#[tokio::test]
async fn a_pod_tells_its_role() {
    let pod = seen(json!({"metadata": {"name": "p", "labels": {"role": "alluxio-master"}}})).await;
    assert_eq!(pod.role.as_deref(), Some("alluxio-master"));
}

/// The answer to the eviction, and to the deletion, of a pod.
async fn refusals(code: u16, words: &str) -> (Eviction, Deletion) {
    let script = Script::with([Answer::failure(code, words), Answer::failure(code, words)]);
    let evicted = script.cluster.evict(&pod()).await.expect("an answer");
    let deleted = script.cluster.delete(&pod()).await.expect("an answer");
    (evicted, deleted)
}

#[tokio::test]
async fn a_refusal_of_one_pod_is_an_answer() {
    for (code, words, by) in [
        (
            403,
            "pods \"driver\" is forbidden: User \"u\" cannot create resource \"pods/eviction\" in API group \"\"",
            RefusedBy::Rights,
        ),
        (
            403,
            "admission webhook \"w\" denied the request: no",
            RefusedBy::Admission,
        ),
        (
            422,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            RefusedBy::Admission,
        ),
        (
            500,
            "Internal error occurred: failed calling webhook \"w\": refused",
            RefusedBy::Webhook,
        ),
        (503, "etcdserver: leader changed", RefusedBy::Server),
        (400, "what is that", RefusedBy::Server),
    ] {
        let (evicted, _) = refusals(code, words).await;
        let Eviction::Refused(refusal) = evicted else {
            panic!("{words}: {evicted:?}")
        };
        assert_eq!(refusal.by, by, "{words}");
        assert!(refusal.words.contains(words), "{refusal:?}");
        let names_rights = refusal.words.contains("see rbac.yaml of label-node");
        assert_eq!(names_rights, by == RefusedBy::Rights, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_denial_counts_whatever_its_code_means() {
    for code in [404, 409, 429, 500] {
        let (evicted, deleted) = refusals(
            code,
            "admission webhook \"w\" denied the request: the operator moves it",
        )
        .await;
        for refusal in [
            matches!(
                evicted,
                Eviction::Refused(Refusal {
                    by: RefusedBy::Admission,
                    ..
                })
            ),
            matches!(
                deleted,
                Deletion::Refused(Refusal {
                    by: RefusedBy::Admission,
                    ..
                })
            ),
        ] {
            assert!(refusal, "{code}: {evicted:?}, {deleted:?}");
        }
    }
}

#[tokio::test]
async fn an_eviction_that_is_not_answered_is_refused() {
    let script = Script::with([Answer::Silence]);
    let answer = script.cluster.evict(&pod()).await;
    assert!(
        matches!(
            &answer,
            Ok(Eviction::Refused(Refusal {
                by: RefusedBy::Silence,
                ..
            }))
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_pod_that_is_gone_or_another_needs_no_deletion() {
    for (code, words) in [
        (404, "pods \"driver\" not found"),
        (
            409,
            "Precondition failed: UID in precondition: a, UID in object meta: b",
        ),
    ] {
        let script = Script::with([Answer::failure(code, words)]);
        assert_eq!(script.cluster.delete(&pod()).await, Ok(Deletion::Gone));
    }
}

#[tokio::test]
async fn an_eviction_is_of_exactly_this_pod() {
    let script = Script::with([Answer::With(201, json!({"kind": "Status", "status": "Success"}))]);
    assert_eq!(script.cluster.evict(&pod()).await, Ok(Eviction::Accepted));
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        "POST /api/v1/namespaces/spark/pods/driver/eviction"
    );
    assert_eq!(
        asked[0].body,
        json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": "spark", "name": "driver"},
            "deleteOptions": {"preconditions": {"uid": "pod-uid"}},
        })
    );
}

#[tokio::test]
async fn a_pod_that_is_gone_or_another_by_now_or_ends_with_its_namespace_needs_no_eviction() {
    for answer in [
        Answer::failure(404, "pods \"driver\" not found"),
        Answer::failure(
            409,
            "Operation cannot be fulfilled on Pod \"driver\": the UID in the precondition (a) does not match the UID \
             in record (b). The object might have been deleted and then recreated",
        ),
        Answer::failure(
            409,
            "Operation cannot be fulfilled on Pod \"driver\": Precondition failed: UID in precondition: a, UID in \
             object meta: b",
        ),
        Answer::failure_because(
            403,
            "being terminated",
            &[("NamespaceTerminating", "namespace spark")],
        ),
    ] {
        let script = Script::with([answer]);
        assert_eq!(script.cluster.evict(&pod()).await, Ok(Eviction::Accepted));
        assert_eq!(script.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_budget_that_forbids_an_eviction_is_named_and_not_asked_again() {
    let message = "The disruption budget driver needs 1 healthy pods and has 1 currently";
    let script = Script::with([Answer::failure_because(
        429,
        "Cannot evict pod as it would violate the pod's disruption budget.",
        &[("DisruptionBudget", message)],
    )]);
    assert_eq!(
        script.cluster.evict(&pod()).await,
        Ok(Eviction::Blocked(message.into()))
    );
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn several_budgets_on_one_pod_block_it_for_ever_and_it_says_so() {
    let script = Script::with([Answer::failure(
        500,
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    )]);
    let Ok(Eviction::Blocked(message)) = script.cluster.evict(&pod()).await else {
        panic!("not blocked");
    };
    assert!(message.contains("never clears by itself"), "{message}");
}

#[tokio::test]
async fn throttling_and_two_writers_of_one_budget_are_tried_again_later() {
    for answer in [
        Answer::failure(429, "too many requests, please try again later"),
        Answer::failure(
            409,
            "Operation cannot be fulfilled on poddisruptionbudgets.policy \"driver\": the object has been modified; \
             please apply your changes to the latest version and try again",
        ),
    ] {
        let script = Script::with([answer]);
        assert_eq!(script.cluster.evict(&pod()).await, Ok(Eviction::Throttled));
    }
}

#[tokio::test]
async fn a_deletion_leaves_the_pod_its_own_grace_and_never_none() {
    for (own, sent) in [(30, 30), (0, 1)] {
        let script = Script::with([Answer::done()]);
        let pod = Pod {
            grace_period_seconds: own,
            ..pod()
        };
        assert_eq!(script.cluster.delete(&pod).await, Ok(Deletion::Accepted));
        assert_eq!(
            script.asked()[0].body,
            json!({"gracePeriodSeconds": sent, "preconditions": {"uid": "pod-uid"}})
        );
    }
}

#[tokio::test]
async fn a_worker_set_is_known_by_the_layout_that_its_pods_select() {
    let by_selector = json!({"metadata": {"name": "a"}, "spec": {"selector": {}, "template": {"spec": {
        "containers": [], "nodeSelector": {"tidegate.dev/alluxio-worker": "2x300g"}}}}});
    let by_affinity = json!({"metadata": {"name": "b"}, "spec": {"selector": {}, "template": {"spec": {
        "containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": "tidegate.dev/alluxio-worker", "operator": "In", "values": ["4x1900g"]}]}]}}}}}}});
    for (layout, exists) in [("2x300g", true), ("4x1900g", true), ("1x900g", false)] {
        let script = Script::with([Answer::list(&[by_selector.clone(), by_affinity.clone()])]);
        let answer = script.cluster.worker_daemon_set_exists("alluxio", layout).await;
        assert_eq!(answer, Ok(exists), "{layout}");
        assert_eq!(
            script.lines(),
            ["GET /apis/apps/v1/namespaces/alluxio/daemonsets"]
        );
    }
}
