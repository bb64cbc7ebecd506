//! Which objects of a cluster are ours, and in which order they go.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bootstrap::title;
use crate::cache::Losses;
use crate::names;

/// How Cluster Autoscaler's own chart labels it.
/// <https://github.com/kubernetes/autoscaler/blob/master/charts/cluster-autoscaler/templates/_helpers.tpl>
const CHART_LABEL: &str = "app.kubernetes.io/name";
const CHART_NAMES: [&str; 2] = ["aws-cluster-autoscaler", "cluster-autoscaler"];
/// What Kubernetes itself makes in each namespace.
const OF_EACH_NAMESPACE: [(&str, &str); 2] =
    [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];

/// What the record of the manifests names, as titles; nothing where it cannot be read.
#[must_use]
pub fn recorded(record: Option<&Value>) -> Vec<String> {
    let objects = record
        .and_then(|record| record["data"][names::MANIFESTS_RECORD_KEY].as_str())
        .and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    objects.unwrap_or_default().iter().map(title).collect()
}

/// Whether an object is ours: it was applied as [`names::FIELD_MANAGER`], or the record names it. A name alone says
/// nothing: a chart's or an add-on's object may have it.
#[must_use]
pub fn is_ours(object: &Value, recorded: &[String]) -> bool {
    let mut managers = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    let applied = |entry: &Value| {
        entry["manager"] == names::FIELD_MANAGER && entry["operation"].as_str() == Some("Apply")
    };
    managers.any(applied) || is_record(object) || recorded.contains(&title(object))
}

fn is_record(object: &Value) -> bool {
    object["kind"] == "ConfigMap"
        && object["metadata"]["namespace"] == names::MANIFESTS_NAMESPACE
        && object["metadata"]["name"] == names::MANIFESTS_RECORD
}

/// When an object goes. Workers first, as nothing may be written to a cache once it was looked through for the last time;
/// what runs before what it runs by; the record last, as it holds the mark that keeps the drift check from setting right
/// what is taken away.
fn turn(object: &Value) -> u8 {
    let kind = object["kind"].as_str().unwrap_or_default();
    let is_worker = object["metadata"]["labels"]["role"] == "alluxio-worker";
    match kind {
        "DaemonSet" if is_worker => 0,
        "DaemonSet" | "Deployment" | "StatefulSet" => 1,
        "Namespace" => 3,
        _ if is_record(object) => 4,
        _ => 2,
    }
}

/// The objects whose turn it is, of those that are left.
#[must_use]
pub fn next(objects: &[Value]) -> Vec<&Value> {
    let first = objects.iter().map(turn).min();
    let whose = |object: &&Value| Some(turn(object)) == first;
    objects.iter().filter(whose).collect()
}

/// The claims that a `StatefulSet` has made, among the objects of its namespace: `<template>-<set>-<number>`. Nothing
/// owns them, so they would stay, and their volumes cost.
#[must_use]
pub fn claims_of<'a>(set: &Value, objects: &'a [Value]) -> Vec<&'a Value> {
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    let templates = set["spec"]["volumeClaimTemplates"].as_array();
    let stems: Vec<_> = templates
        .into_iter()
        .flatten()
        .filter_map(|template| Some(format!("{}-{name}-", template["metadata"]["name"].as_str()?)))
        .collect();
    let of_the_set = |claim: &&Value| {
        let claim_name = claim["metadata"]["name"].as_str().unwrap_or_default();
        claim["kind"] == "PersistentVolumeClaim"
            && stems.iter().any(|stem| {
                claim_name
                    .strip_prefix(stem.as_str())
                    .is_some_and(|number| number.parse::<u32>().is_ok())
            })
    };
    objects.iter().filter(of_the_set).collect()
}

fn owned(object: &Value) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty())
}

/// Pods and claims of a namespace that are on their way out.
#[must_use]
pub fn waiting(objects: &[Value]) -> Vec<String> {
    let ends = |object: &&Value| {
        matches!(object["kind"].as_str(), Some("Pod" | "PersistentVolumeClaim"))
            && object["metadata"]["deletionTimestamp"].is_string()
    };
    objects.iter().filter(ends).map(title).collect()
}

/// What stands in our namespace and is not ours: with it the namespace stays. What is owned goes with its owner, which is
/// named itself.
#[must_use]
pub fn foreign(objects: &[Value], recorded: &[String]) -> Vec<String> {
    let of_kubernetes = |object: &Value| {
        OF_EACH_NAMESPACE
            .iter()
            .any(|(kind, name)| object["kind"] == *kind && object["metadata"]["name"] == *name)
    };
    let stays = |object: &&Value| {
        !owned(object)
            && !of_kubernetes(object)
            && !is_ours(object, recorded)
            && object["metadata"]["deletionTimestamp"].is_null()
    };
    objects.iter().filter(stays).map(title).collect()
}

/// Whether a `Deployment` is Cluster Autoscaler: ours by its name, a chart's by its label.
#[must_use]
pub fn is_autoscaler(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let of_a_chart = || {
        CHART_NAMES
            .iter()
            .any(|name| metadata["labels"][CHART_LABEL] == *name)
    };
    object["kind"] == "Deployment"
        && (metadata["namespace"] == "kube-system" && metadata["name"] == "cluster-autoscaler"
            || of_a_chart())
}

/// Since when the cluster is being destroyed, by the record of its manifests.
#[must_use]
pub fn destroying_since(record: &Value) -> Option<String> {
    let since = &record["metadata"]["annotations"][names::DESTROY_SINCE_ANNOTATION];
    since.as_str().map(ToOwned::to_owned)
}

/// The record with the mark that the cluster is being destroyed. Setting the cluster up again applies the record without
/// it, as the same field manager: then it is gone.
#[must_use]
pub fn mark(record: Option<&Value>, now: Timestamp) -> Value {
    let kept = record.map(|record| record["data"].clone());
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names::MANIFESTS_RECORD,
            "namespace": names::MANIFESTS_NAMESPACE,
            "annotations": { names::DESTROY_SINCE_ANNOTATION: now.to_string() },
        },
        "data": kept.unwrap_or_else(|| json!({ names::MANIFESTS_RECORD_KEY: "[]" })),
    })
}

/// Key of the record beside the objects: what is lost with the caches.
const LOST_KEY: &str = "lost.json";

/// The marked record with what is lost: whoever takes the destroy up again tells it too.
#[must_use]
pub fn with_losses(mut record: Value, lost: &Losses, unseen: &[String]) -> Value {
    record["data"][LOST_KEY] = json!(json!({ "lost": lost, "unseen": unseen }).to_string());
    record
}

/// What is lost with the caches, as an earlier execution noted it; nothing where it noted none.
#[must_use]
pub fn losses(record: &Value) -> (Losses, Vec<String>) {
    let noted = record["data"][LOST_KEY].as_str();
    let noted: Value = noted
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let lost = serde_json::from_value(noted["lost"].clone()).unwrap_or_default();
    let unseen = serde_json::from_value(noted["unseen"].clone()).unwrap_or_default();
    (lost, unseen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, namespace: Option<&str>, name: &str) -> Value {
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace);
        }
        json!({ "kind": kind, "metadata": metadata })
    }

    fn by(manager: &str, mut object: Value) -> Value {
        object["metadata"]["managedFields"] = json!([{ "manager": manager, "operation": "Apply" }]);
        object
    }

    #[test]
    fn what_was_applied_by_us_or_is_recorded_is_ours_and_nothing_by_its_name() {
        let server = object("Deployment", Some("kube-system"), "metrics-server");
        assert!(is_ours(&by("tidegate", server.clone()), &[]));
        assert!(!is_ours(&by("helm", server.clone()), &[]));
        assert!(!is_ours(&by("tidegate-label-node", server.clone()), &[]));
        assert!(is_ours(
            &server,
            &["Deployment kube-system/metrics-server".into()]
        ));
        assert!(is_ours(
            &object("ConfigMap", Some("kube-system"), "tidegate-manifests"),
            &[]
        ));
        assert!(!is_ours(
            &object("ConfigMap", Some("alluxio"), "tidegate-manifests"),
            &[]
        ));
    }

    #[test]
    fn a_status_that_we_wrote_makes_nothing_ours() {
        let mut object = object("Deployment", Some("kube-system"), "coredns");
        object["metadata"]["managedFields"] = json!([{ "manager": "tidegate", "operation": "Update" }]);
        assert!(!is_ours(&object, &[]));
    }

    #[test]
    fn the_record_names_what_it_holds() {
        let objects = json!([object("StorageClass", None, "fast-disks")]).to_string();
        let record = json!({ "data": { "objects.json": objects } });
        assert_eq!(recorded(Some(&record)), ["StorageClass fast-disks"]);
        assert!(recorded(None).is_empty());
        assert!(recorded(Some(&json!({ "data": { "objects.json": "{" } }))).is_empty());
    }

    #[test]
    fn workers_go_first_then_what_runs_then_the_rest_the_namespace_and_the_record() {
        let mut worker = object("DaemonSet", Some("alluxio"), "alluxio-worker-2x300g");
        worker["metadata"]["labels"] = json!({ "role": "alluxio-worker" });
        let mut left = vec![
            object("ConfigMap", Some("kube-system"), "tidegate-manifests"),
            object("Namespace", None, "alluxio"),
            object("ClusterRole", None, "tidegate-drain-cache"),
            object("StatefulSet", Some("alluxio"), "alluxio-master"),
            object("DaemonSet", Some("kube-system"), "local-volume-provisioner"),
            worker,
        ];
        let mut turns = Vec::new();
        while !left.is_empty() {
            let now: Vec<_> = next(&left).into_iter().map(title).collect();
            left.retain(|object| !now.contains(&title(object)));
            turns.push(now);
        }
        assert_eq!(
            turns,
            [
                vec!["DaemonSet alluxio/alluxio-worker-2x300g"],
                vec![
                    "StatefulSet alluxio/alluxio-master",
                    "DaemonSet kube-system/local-volume-provisioner"
                ],
                vec!["ClusterRole tidegate-drain-cache"],
                vec!["Namespace alluxio"],
                vec!["ConfigMap kube-system/tidegate-manifests"],
            ]
        );
    }

    #[test]
    fn the_claims_of_a_set_are_those_of_its_templates_with_a_number() {
        let mut set = object("StatefulSet", Some("alluxio"), "alluxio-master");
        set["spec"]["volumeClaimTemplates"] = json!([{ "metadata": { "name": "journal" } }]);
        let claims: Vec<_> = [
            "journal-alluxio-master-0",
            "journal-alluxio-master-x",
            "journal-alluxio-master-",
            "data-alluxio-master-0",
            "journal-other-0",
        ]
        .iter()
        .map(|name| object("PersistentVolumeClaim", Some("alluxio"), name))
        .chain([object("Pod", Some("alluxio"), "journal-alluxio-master-1")])
        .collect();
        let found: Vec<_> = claims_of(&set, &claims).into_iter().map(title).collect();
        assert_eq!(found, ["PersistentVolumeClaim alluxio/journal-alluxio-master-0"]);
    }

    #[test]
    fn what_somebody_else_put_into_the_namespace_is_named() {
        let mut owned = object("ReplicaSet", Some("alluxio"), "alluxio-proxy-1");
        owned["metadata"]["ownerReferences"] = json!([{ "name": "alluxio-proxy" }]);
        let mut going = object(
            "PersistentVolumeClaim",
            Some("alluxio"),
            "journal-alluxio-master-0",
        );
        going["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");
        let objects = [
            object("ConfigMap", Some("alluxio"), "kube-root-ca.crt"),
            object("ServiceAccount", Some("alluxio"), "default"),
            object("Secret", Some("alluxio"), "theirs"),
            by("tidegate", object("ConfigMap", Some("alluxio"), "alluxio-config")),
            owned,
            going,
        ];
        assert_eq!(foreign(&objects, &[]), ["Secret alluxio/theirs"]);
        assert_eq!(
            waiting(&objects),
            ["PersistentVolumeClaim alluxio/journal-alluxio-master-0"]
        );
    }

    #[test]
    fn cluster_autoscaler_is_known_by_our_name_and_by_a_charts_label() {
        assert!(is_autoscaler(&object(
            "Deployment",
            Some("kube-system"),
            "cluster-autoscaler"
        )));
        let mut chart = object("Deployment", Some("scaling"), "ca");
        assert!(!is_autoscaler(&chart));
        chart["metadata"]["labels"] = json!({ "app.kubernetes.io/name": "aws-cluster-autoscaler" });
        assert!(is_autoscaler(&chart));
        assert!(!is_autoscaler(&object(
            "ConfigMap",
            Some("kube-system"),
            "cluster-autoscaler"
        )));
    }

    #[test]
    fn what_is_lost_is_noted_beside_the_objects_and_read_again() {
        let mut lost = Losses::default();
        lost.note("/a", 3, "why");
        let marked = mark(None, Timestamp::UNIX_EPOCH);
        assert_eq!(losses(&marked), (Losses::default(), Vec::new()));
        let noted = with_losses(marked, &lost, &["worker a".into()]);
        assert_eq!(losses(&noted), (lost.clone(), vec!["worker a".into()]));
        let again = mark(Some(&noted), Timestamp::UNIX_EPOCH);
        assert_eq!(losses(&again).0, lost, "a second mark keeps it");
        assert_eq!(recorded(Some(&again)), Vec::<String>::new());
    }

    #[test]
    fn the_mark_keeps_what_is_recorded_and_is_read_again() {
        let record = json!({ "metadata": { "resourceVersion": "1" }, "data": { "objects.json": "[1]" } });
        let marked = mark(Some(&record), Timestamp::UNIX_EPOCH);
        assert_eq!(marked["data"], record["data"]);
        assert!(marked["metadata"]["resourceVersion"].is_null());
        assert_eq!(destroying_since(&marked).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(destroying_since(&record), None);
        assert_eq!(mark(None, Timestamp::UNIX_EPOCH)["data"]["objects.json"], "[]");
    }
}
