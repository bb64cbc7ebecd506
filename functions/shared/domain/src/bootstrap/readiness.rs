//! When an object that was applied does what it is there for, read off the object itself.

use serde_json::{Value, json};

/// A class whose volumes are made by nobody: somebody publishes them.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Kind, namespace and name.
#[must_use]
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// What an object waits for, in words; none where it is ready.
///
/// A `DaemonSet` is ready when one of its pods is, or when it has none: the others' trouble is their node's, and judged
/// there. An Alluxio master's quorum is a majority. What has no status is ready by being there.
#[must_use]
pub fn readiness(live: &Value) -> Option<String> {
    let status = &live["status"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let seen = |kind: &str| {
        (number(&status["observedGeneration"]) < number(&live["metadata"]["generation"]))
            .then(|| format!("{kind} has not been looked at by its controller"))
    };
    let waits = match live["kind"].as_str().unwrap_or_default() {
        "DaemonSet" => seen("it").or_else(|| {
            let (wanted, ready) = (
                number(&status["desiredNumberScheduled"]),
                number(&status["numberReady"]),
            );
            (wanted > 0 && ready == 0).then(|| format!("none of its {wanted} pods is ready"))
        }),
        "Deployment" => seen("it").or_else(|| {
            let wanted = live["spec"]["replicas"].as_u64().unwrap_or(1);
            let available = number(&status["availableReplicas"]);
            (available < wanted).then(|| format!("{available} of its {wanted} pods are available"))
        }),
        "StatefulSet" => seen("it").or_else(|| {
            let wanted = live["spec"]["replicas"].as_u64().unwrap_or(1);
            let ready = number(&status["readyReplicas"]);
            (ready < wanted / 2 + 1)
                .then(|| format!("{ready} of its {wanted} pods are ready, not a majority"))
        }),
        "APIService" => {
            let conditions = status["conditions"].as_array();
            let available = conditions
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == "Available");
            match available {
                Some(condition) if condition["status"] == "True" => None,
                Some(condition) => Some(
                    condition["message"]
                        .as_str()
                        .unwrap_or("it is not available")
                        .to_owned(),
                ),
                None => Some("nobody has looked whether it answers".into()),
            }
        }
        _ => None,
    };
    waits.map(|what| format!("{}: {what}", title(live)))
}

/// The pods of a `StatefulSet`, by their names; of all else none can be named.
#[must_use]
pub fn pods_of(live: &Value) -> Vec<Value> {
    if live["kind"] != "StatefulSet" {
        return Vec::new();
    }
    let metadata = &live["metadata"];
    let set = metadata["name"].as_str().unwrap_or_default();
    let replicas = live["spec"]["replicas"].as_u64().unwrap_or(1);
    (0..replicas)
        .map(|ordinal| {
            let name = format!("{set}-{ordinal}");
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": metadata["namespace"], "name": name}})
        })
        .collect()
}

/// What keeps a pod from being ready, in the words of the scheduler or of its node; none where it is ready, or where
/// nobody says a word.
#[must_use]
pub fn trouble_of_pod(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let all = |list: &str| status[list].as_array().into_iter().flatten();
    let unscheduled = all("conditions")
        .filter(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
        .find_map(|condition| condition["message"].as_str().map(str::to_owned));
    let waiting = || {
        all("initContainerStatuses")
            .chain(all("containerStatuses"))
            .find_map(|container| {
                let waiting = &container["state"]["waiting"];
                let name = container["name"].as_str().unwrap_or_default();
                let words: Vec<_> = ["reason", "message"]
                    .iter()
                    .filter_map(|word| waiting[word].as_str())
                    .collect();
                (!words.is_empty()).then(|| format!("container {name} waits: {}", words.join(": ")))
            })
    };
    let what = unscheduled.or_else(waiting)?;
    Some(format!("{}: {what}", title(pod)))
}

/// What else must be there for an object to work: the driver that makes a storage class's volumes.
#[must_use]
pub fn driver_of(object: &Value) -> Option<Value> {
    let provisioner = object["provisioner"].as_str()?;
    (object["kind"] == "StorageClass" && provisioner != NO_PROVISIONER).then(
        || json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": provisioner}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(kind: &str, spec: &Value, status: &Value) -> Value {
        json!({
            "kind": kind,
            "metadata": {"namespace": "n", "name": "o", "generation": 2},
            "spec": spec,
            "status": status,
        })
    }

    #[test]
    fn a_daemon_set_is_ready_with_one_pod_or_with_none_to_run() {
        let set = |wanted: u32, ready: u32| {
            live(
                "DaemonSet",
                &json!({}),
                &json!({"observedGeneration": 2, "desiredNumberScheduled": wanted, "numberReady": ready}),
            )
        };
        assert_eq!(readiness(&set(0, 0)), None);
        assert_eq!(readiness(&set(3, 1)), None);
        assert_eq!(
            readiness(&set(3, 0)).as_deref(),
            Some("DaemonSet n/o: none of its 3 pods is ready")
        );
    }

    #[test]
    fn what_its_controller_has_not_looked_at_says_nothing_yet() {
        for kind in ["DaemonSet", "Deployment", "StatefulSet"] {
            let old = live(
                kind,
                &json!({"replicas": 1}),
                &json!({"observedGeneration": 1, "availableReplicas": 1, "readyReplicas": 1, "numberReady": 1}),
            );
            assert_eq!(
                readiness(&old),
                Some(format!("{kind} n/o: it has not been looked at by its controller"))
            );
        }
    }

    #[test]
    fn a_deployment_needs_all_of_its_pods_and_a_stateful_set_a_majority() {
        let deployment = |available: u32| {
            let status = json!({"observedGeneration": 2, "availableReplicas": available});
            live("Deployment", &json!({"replicas": 2}), &status)
        };
        assert_eq!(readiness(&deployment(2)), None);
        assert_eq!(
            readiness(&deployment(1)).as_deref(),
            Some("Deployment n/o: 1 of its 2 pods are available")
        );
        let masters = |ready: u32| {
            let status = json!({"observedGeneration": 2, "readyReplicas": ready});
            live("StatefulSet", &json!({"replicas": 3}), &status)
        };
        assert_eq!(readiness(&masters(2)), None);
        assert_eq!(
            readiness(&masters(1)).as_deref(),
            Some("StatefulSet n/o: 1 of its 3 pods are ready, not a majority")
        );
    }

    #[test]
    fn an_api_service_is_ready_when_it_answers() {
        let service =
            |conditions: &Value| live("APIService", &json!({}), &json!({ "conditions": conditions }));
        assert!(readiness(&service(&json!([]))).is_some());
        let silent =
            json!([{"type": "Available", "status": "False", "message": "no response from https://x"}]);
        assert_eq!(
            readiness(&service(&silent)).as_deref(),
            Some("APIService n/o: no response from https://x")
        );
        assert_eq!(
            readiness(&service(&json!([{"type": "Available", "status": "True"}]))),
            None
        );
    }

    #[test]
    fn what_has_no_status_is_ready_by_being_there() {
        assert_eq!(
            readiness(&json!({"kind": "ConfigMap", "metadata": {"name": "a"}})),
            None
        );
    }

    #[test]
    fn the_pods_of_a_stateful_set_are_known_by_name_and_no_others() {
        let set = live("StatefulSet", &json!({"replicas": 2}), &json!({}));
        let titles: Vec<_> = pods_of(&set).iter().map(title).collect();
        assert_eq!(titles, ["Pod n/o-0", "Pod n/o-1"]);
        assert_eq!(
            pods_of(&live("Deployment", &json!({"replicas": 2}), &json!({}))),
            [json!(null); 0]
        );
    }

    #[test]
    fn a_pod_that_is_not_ready_says_why_in_the_words_of_who_keeps_it() {
        let pod = |status: &Value| json!({"kind": "Pod", "metadata": {"namespace": "n", "name": "o-0"}, "status": status});
        let nowhere = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available: 2 Insufficient memory."},
        ]});
        assert_eq!(
            trouble_of_pod(&pod(&nowhere)).as_deref(),
            Some("Pod n/o-0: 0/2 nodes are available: 2 Insufficient memory.")
        );
        let no_image = json!({
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "initContainerStatuses": [{"name": "own", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "master", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            ],
        });
        assert_eq!(
            trouble_of_pod(&pod(&no_image)).as_deref(),
            Some("Pod n/o-0: container master waits: ImagePullBackOff: no such image")
        );
        let running = json!({"containerStatuses": [{"name": "master", "state": {"running": {}}}]});
        assert_eq!(trouble_of_pod(&pod(&running)), None);
    }

    #[test]
    fn a_class_whose_volumes_a_driver_makes_needs_that_driver() {
        let class = |provisioner: &str| json!({"kind": "StorageClass", "provisioner": provisioner});
        assert_eq!(driver_of(&class("kubernetes.io/no-provisioner")), None);
        let driver = driver_of(&class("ebs.csi.aws.com")).expect("a driver");
        assert_eq!(title(&driver), "CSIDriver ebs.csi.aws.com");
        assert_eq!(driver_of(&json!({"kind": "ConfigMap"})), None);
    }
}
