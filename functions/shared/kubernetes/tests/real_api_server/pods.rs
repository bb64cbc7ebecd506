#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node as CoreNode, Pod as CorePod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tidegate_domain::node::{PastCordon, Pod};
use tidegate_domain::plan::EvictionTrial;
use tidegate_domain::ports::{Deletion, Eviction, Pods, Refusal, RefusedBy};
use tidegate_kubernetes::Cluster;

use crate::login::connected;
use crate::objects::{
    client, cluster, create, eventually, namespace, node_of, remove, remove_namespace, subject,
};

const WATCH: Duration = Duration::from_secs(20);

/// A node and a namespace of the test's own; nobody runs the pods there, the test says how they are.
struct Stage {
    client: Client,
    cluster: Cluster,
    node: String,
    namespace: String,
}

impl Stage {
    async fn set() -> Self {
        let client = client().await;
        let node = node_of(&subject());
        let name = node["metadata"]["name"].as_str().expect("a name").to_owned();
        create(&Api::<CoreNode>::all(client.clone()), node).await;
        Self {
            cluster: cluster(&client),
            namespace: namespace(&client).await,
            client,
            node: name,
        }
    }

    fn pods(&self) -> Api<CorePod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A pod of that name that runs and is ready: only such a pod counts for a disruption budget.
    async fn run(&self, name: &str, grace_seconds: u32) -> Pod {
        create(
            &self.pods(),
            json!({
                "metadata": {"name": name, "labels": {"app": "guarded"}},
                "spec": {"nodeName": self.node, "terminationGracePeriodSeconds": grace_seconds,
                    "tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "none"}]},
            }),
        )
        .await;
        let running = json!({"status": {"phase": "Running", "startTime": "2026-01-02T03:04:05Z",
            "conditions": [{"type": "Ready", "status": "True"}]}});
        self.pods()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(running))
            .await
            .expect("a status");
        let pods = self.look().await;
        pods.into_iter().find(|pod| pod.name == name).expect("the pod")
    }

    /// A budget that keeps so many of the pods, once the disruption controller has counted so many ready ones.
    async fn keep(&self, name: &str, kept: i32, ready: i32) {
        let api = Api::<PodDisruptionBudget>::namespaced(self.client.clone(), &self.namespace);
        create(
            &api,
            json!({
                "metadata": {"name": name},
                "spec": {"minAvailable": kept, "selector": {"matchLabels": {"app": "guarded"}}},
            }),
        )
        .await;
        self.counted(name, ready).await;
    }

    async fn counted(&self, budget: &str, ready: i32) {
        let api = Api::<PodDisruptionBudget>::namespaced(self.client.clone(), &self.namespace);
        eventually("the budget has counted the pods", async || {
            let status = api.get(budget).await.ok()?.status?;
            (status.current_healthy == ready && status.observed_generation.is_some()).then_some(())
        })
        .await;
    }

    async fn look(&self) -> Vec<Pod> {
        self.cluster
            .on_node(&self.node, None, Duration::ZERO, &|_| true)
            .await
            .expect("an answer")
    }

    /// The adapter with the product's own connection, which must not try an eviction again by itself.
    async fn connected(&self) -> Cluster {
        let rights = json!({
            "metadata": {"name": "function"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "function", "namespace": self.namespace}],
        });
        create(
            &Api::<RoleBinding>::namespaced(self.client.clone(), &self.namespace),
            rights,
        )
        .await;
        connected(&self.client, &self.namespace).await
    }

    async fn strike(self) {
        remove_namespace(&self.client, &self.namespace).await;
        remove(&Api::<CoreNode>::all(self.client.clone()), &self.node).await;
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn an_eviction_is_blocked_by_a_budget_and_accepted_when_there_is_room() {
    let stage = Stage::set().await;
    let pod = stage.run("first", 30).await;
    stage.keep("keep-one", 1, 1).await;
    let cluster = stage.connected().await;
    let began = Instant::now();
    let Eviction::Blocked(message) = cluster.evict(&pod).await.expect("an answer") else {
        panic!("not blocked");
    };
    assert!(message.contains("keep-one"), "{message}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it was retried: {:?}",
        began.elapsed()
    );
    stage.run("second", 30).await;
    stage.counted("keep-one", 2).await;
    assert_eq!(cluster.evict(&pod).await, Ok(Eviction::Accepted));
    let left = stage.look().await;
    let evicted = left
        .iter()
        .find(|pod| pod.name == "first")
        .expect("until its node confirms");
    assert!(evicted.deletion_time.is_some());
    assert_eq!(cluster.evict(&pod).await, Ok(Eviction::Accepted), "a second time");
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn an_eviction_on_trial_is_judged_as_a_real_one_and_evicts_nobody() {
    let stage = Stage::set().await;
    let pod = stage.run("first", 30).await;
    stage.keep("keep-one", 1, 1).await;
    let cluster = stage.connected().await;
    let Eviction::Blocked(message) = cluster.try_evict(&pod).await.expect("an answer") else {
        panic!("not blocked");
    };
    assert!(message.contains("keep-one"), "{message}");
    stage.run("second", 30).await;
    stage.counted("keep-one", 2).await;
    for _ in 0..3 {
        // Each as if it were the only one: a trial takes nothing from the budget.
        assert_eq!(cluster.try_evict(&pod).await, Ok(Eviction::Accepted));
    }
    let left = stage.look().await;
    assert!(left.iter().all(|pod| pod.deletion_time.is_none()), "{left:?}");
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn two_budgets_on_one_pod_block_it_and_it_is_said_that_this_never_clears() {
    let stage = Stage::set().await;
    let pod = stage.run("first", 30).await;
    stage.keep("keep-none", 0, 1).await;
    stage.keep("keep-none-either", 0, 1).await;
    let Eviction::Blocked(message) = stage.cluster.evict(&pod).await.expect("an answer") else {
        panic!("not blocked");
    };
    assert!(message.contains("never clears by itself"), "{message}");
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn another_pod_of_the_same_name_is_neither_evicted_nor_deleted() {
    let stage = Stage::set().await;
    let earlier = stage.run("first", 30).await;
    stage
        .pods()
        .delete("first", &DeleteParams::default().grace_period(0))
        .await
        .expect("deleted");
    assert_eq!(
        stage.cluster.evict(&earlier).await,
        Ok(Eviction::Accepted),
        "it is gone"
    );
    assert_eq!(Pods::delete(&stage.cluster, &earlier).await, Ok(Deletion::Gone));
    let later = stage.run("first", 30).await;
    assert_ne!(earlier.uid, later.uid);
    assert_eq!(
        stage.cluster.evict(&earlier).await,
        Ok(Eviction::Accepted),
        "it is another by now"
    );
    assert_eq!(Pods::delete(&stage.cluster, &earlier).await, Ok(Deletion::Gone));
    let left = stage.look().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].deletion_time, None, "the later pod was touched");
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_pod_past_its_budget_is_deleted_with_its_own_grace_and_never_without_any() {
    let stage = Stage::set().await;
    for (name, own, given) in [("slow", 120, 120), ("hasty", 0, 1)] {
        let pod = stage.run(name, own).await;
        assert_eq!(pod.grace_period_seconds, own);
        stage.keep(&format!("keep-{name}"), 5, 1).await;
        assert_eq!(Pods::delete(&stage.cluster, &pod).await, Ok(Deletion::Accepted));
        let deleted = stage.pods().get(name).await.expect("until its node confirms");
        assert_eq!(
            deleted.metadata.deletion_grace_period_seconds,
            Some(given),
            "{name}"
        );
        stage
            .pods()
            .delete(name, &DeleteParams::default().grace_period(0))
            .await
            .expect("confirmed");
    }
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_pod_of_a_namespace_that_is_being_deleted_needs_no_eviction() {
    let stage = Stage::set().await;
    let pod = stage.run("first", 30).await;
    Api::<Namespace>::all(stage.client.clone())
        .delete(&stage.namespace, &DeleteParams::default())
        .await
        .expect("deleted");
    assert_eq!(stage.cluster.evict(&pod).await, Ok(Eviction::Accepted));
    stage.strike().await;
}

fn refused(answer: Result<Eviction, tidegate_domain::error::Error>) -> Refusal {
    match answer {
        Ok(Eviction::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks again until admission knows of a policy or a webhook, as it does some seconds after its creation.
async fn until_refused(stage: &Stage, pod: &Pod) -> Refusal {
    eventually("the eviction is refused", async || {
        match stage.cluster.try_evict(pod).await {
            Ok(Eviction::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    })
    .await
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_policy_that_denies_one_eviction_is_quoted() {
    let stage = Stage::set().await;
    let (guarded, free) = (stage.run("guarded", 30).await, stage.run("free", 30).await);
    let name = stage.namespace.clone();
    let policies = Api::<ValidatingAdmissionPolicy>::all(stage.client.clone());
    create(
        &policies,
        json!({
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["pods/eviction"], "resourceNames": ["guarded"]}]},
                "validations": [{"expression": "false", "message": "its operator moves this pod"}],
            },
        }),
    )
    .await;
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(stage.client.clone());
    create(
        &bindings,
        json!({
            "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}},
            },
        }),
    )
    .await;
    let refusal = until_refused(&stage, &guarded).await;
    assert_eq!(refusal.by, RefusedBy::Admission, "{refusal:?}");
    assert!(
        refusal.words.contains("its operator moves this pod"),
        "{refusal:?}"
    );
    assert!(!refusal.words.contains("rbac.yaml"), "{refusal:?}");
    assert_eq!(refused(stage.cluster.evict(&guarded).await), refusal);
    assert_eq!(stage.cluster.evict(&free).await, Ok(Eviction::Accepted));
    // The policy is about evictions alone.
    assert_eq!(
        Pods::delete(&stage.cluster, &guarded).await,
        Ok(Deletion::Accepted)
    );
    remove(&bindings, &name).await;
    remove(&policies, &name).await;
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_webhook_that_is_down_refuses_an_eviction() {
    let stage = Stage::set().await;
    let pod = stage.run("guarded", 30).await;
    let name = format!("{}.example.org", stage.namespace);
    let webhooks = Api::<ValidatingWebhookConfiguration>::all(stage.client.clone());
    create(
        &webhooks,
        json!({
            "metadata": {"name": name},
            "webhooks": [{
                "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 2,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["pods/eviction"]}],
                // Port 1 (tcpmux) is served nowhere.
                "clientConfig": {"url": "https://127.0.0.1:1/none"},
            }],
        }),
    )
    .await;
    let refusal = until_refused(&stage, &pod).await;
    assert_eq!(refusal.by, RefusedBy::Webhook, "{refusal:?}");
    assert!(refusal.words.contains(&name), "{refusal:?}");
    assert!(
        refusal.by.is_slow() && !refusal.words.contains("rbac.yaml"),
        "{refusal:?}"
    );
    remove(&webhooks, &name).await;
    assert_eq!(Pods::delete(&stage.cluster, &pod).await, Ok(Deletion::Accepted));
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_missing_right_to_evict_names_its_file() {
    let stage = Stage::set().await;
    let pod = stage.run("guarded", 30).await;
    // An account without any right.
    let cluster = connected(&stage.client, &stage.namespace).await;
    let refusal = refused(cluster.evict(&pod).await);
    assert_eq!(refusal.by, RefusedBy::Rights, "{refusal:?}");
    assert!(
        refusal.words.contains("see rbac.yaml of label-node"),
        "{refusal:?}"
    );
    assert!(refusal.words.contains("pods/eviction"), "{refusal:?}");
    let deletion = Pods::delete(&cluster, &pod).await;
    assert!(
        matches!(&deletion, Ok(Deletion::Refused(refusal)) if refusal.by == RefusedBy::Rights),
        "{deletion:?}"
    );
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_pod_that_names_its_node_is_told_from_a_bound_one() {
    let stage = Stage::set().await;
    create(
        &stage.pods(),
        json!({
            "metadata": {"name": "named"},
            "spec": {"nodeName": stage.node, "containers": [{"name": "c", "image": "none"}]},
        }),
    )
    .await;
    create(
        &stage.pods(),
        json!({
            "metadata": {"name": "bound"},
            // No scheduler of the cluster takes it: the test binds it as a scheduler does.
            "spec": {"schedulerName": "none", "containers": [{"name": "c", "image": "none"}]},
        }),
    )
    .await;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": stage.node},
    });
    stage
        .pods()
        .create_subresource::<_, serde_json::Value>("binding", "bound", &PostParams::default(), &binding)
        .await
        .expect("bound");
    let pods = stage.look().await;
    for (name, past_cordon) in [("named", Some(PastCordon::NamesNode)), ("bound", None)] {
        let pod = pods.iter().find(|pod| pod.name == name).expect("on the node");
        assert_eq!(pod.past_cordon, past_cordon, "{pod:?}");
    }
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_watch_sees_the_last_pod_leave_a_node() {
    let stage = Stage::set().await;
    stage.run("first", 30).await;
    let only = Some((stage.namespace.as_str(), "app=guarded"));
    let began = Instant::now();
    let leaves = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage
            .pods()
            .delete("first", &DeleteParams::default().grace_period(0))
            .await
    };
    let (left, _) = tokio::join!(
        stage
            .cluster
            .on_node(&stage.node, only, WATCH, &<[Pod]>::is_empty),
        leaves
    );
    assert_eq!(left, Ok(Vec::new()));
    assert!(began.elapsed() < WATCH / 2, "{:?}", began.elapsed());
    stage.strike().await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_worker_set_exists_for_the_layout_that_it_selects() {
    let stage = Stage::set().await;
    let api = Api::<DaemonSet>::namespaced(stage.client.clone(), &stage.namespace);
    create(
        &api,
        json!({
            "metadata": {"name": "alluxio-worker-2x300g"},
            "spec": {"selector": {"matchLabels": {"app": "w"}}, "template": {
                "metadata": {"labels": {"app": "w"}},
                // A node that is none: no pod of it must run anywhere in a world that is in use.
                "spec": {"nodeSelector": {"tidegate.dev/alluxio-worker": "2x300g", "of-no-node": "at-all"},
                    "containers": [{"name": "c", "image": "none"}]}}},
        }),
    )
    .await;
    for (layout, exists) in [("2x300g", true), ("4x1900g", false)] {
        let answer = stage
            .cluster
            .worker_daemon_set_exists(&stage.namespace, layout)
            .await;
        assert_eq!(answer, Ok(exists), "{layout}");
    }
    stage.strike().await;
}
