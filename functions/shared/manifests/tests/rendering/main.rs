//! What is rendered is what the functions expect to find.

// Helpers of tests may panic too; clippy only knows the tests themselves.
#![allow(clippy::expect_used, clippy::panic)]

mod add_ons;
mod masters;
mod refused;
#[path = "../rendered/mod.rs"]
mod rendered;
mod workers;

use serde_json::Value;
use tidegate_domain::names;
use tidegate_manifests::{JavaMemory, Settings, render};

use crate::rendered::{dev, named, objects, prod, settings};

#[test]
fn every_document_is_a_kubernetes_object_with_a_name() {
    for settings in [settings(), prod(), dev()] {
        let objects = objects(&settings);
        for object in &objects {
            for field in [
                &object["apiVersion"],
                &object["kind"],
                &object["metadata"]["name"],
            ] {
                assert!(field.as_str().is_some_and(|text| !text.is_empty()), "{object}");
            }
        }
        let identities: Vec<_> = objects.iter().map(identity).collect();
        let mut unique = identities.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), identities.len(), "{identities:#?}");
    }
}

pub(crate) fn identity(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!(
        "{} {}/{}",
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

#[test]
fn nothing_of_a_template_is_left_in_the_text() {
    for settings in [settings(), prod(), dev()] {
        let text = render(&settings).expect("rendered");
        assert!(!text.contains("{{") && !text.contains("{%") && !text.contains("{#"));
    }
}

#[test]
fn the_record_holds_what_the_drift_check_has_rights_on_and_nothing_beside_it() {
    let recorded = |settings: &Settings| {
        let objects = objects(settings);
        let record =
            &named(&objects, "ConfigMap", names::MANIFESTS_RECORD)["data"][names::MANIFESTS_RECORD_KEY];
        let held: Vec<Value> = serde_json::from_str(record.as_str().expect("text")).expect("JSON");
        let held: Vec<_> = held.iter().map(identity).collect();
        let beside: Vec<_> = objects
            .iter()
            .map(identity)
            .filter(|object| !held.contains(object))
            .collect();
        (held, beside)
    };
    let (held, beside) = recorded(&settings());
    assert_eq!(
        beside,
        [
            "StorageClass /standard",
            "ConfigMap kube-system/tidegate-manifests"
        ]
    );
    let (with_all, beside) = recorded(&prod());
    assert_eq!(with_all, held);
    for object in [
        "StatefulSet alluxio/alluxio-master",
        "Deployment alluxio/alluxio-proxy",
        "Deployment kube-system/metrics-server",
        "Deployment kube-system/cluster-autoscaler",
    ] {
        assert!(beside.iter().any(|identity| identity == object), "{object}");
    }
    let (in_memory, _) = recorded(&dev());
    assert!(
        in_memory
            .iter()
            .any(|identity| identity == "DaemonSet alluxio/alluxio-worker-memory")
    );
}

#[test]
fn further_properties_come_last_so_that_they_win() {
    let property = (
        "alluxio.user.worker.list.refresh.interval".to_owned(),
        "1s".to_owned(),
    );
    let objects = objects(&Settings {
        properties: vec![property],
        ..settings()
    });
    let options = &named(&objects, "ConfigMap", "alluxio-config")["data"]["ALLUXIO_JAVA_OPTS"];
    assert!(
        options
            .as_str()
            .expect("text")
            .ends_with("-Dalluxio.user.worker.list.refresh.interval=1s")
    );
}

#[test]
fn a_container_may_use_more_memory_than_heap_and_direct_memory_whatever_they_are() {
    for (heap_mib, direct_mib) in [(1, 1), (4096, 4096), (1_000_000, 0)] {
        let memory = JavaMemory { heap_mib, direct_mib };
        assert!(memory.limit_mib() >= u64::from(heap_mib) + u64::from(direct_mib) + 1024);
    }
}

#[test]
fn another_namespace_is_the_workers_and_that_of_the_rights_on_them() {
    let objects = objects(&Settings {
        namespace: "cache".into(),
        ..settings()
    });
    assert!(
        objects
            .iter()
            .all(|object| object["metadata"]["namespace"] != "alluxio")
    );
    named(&objects, "Namespace", "cache");
    assert_eq!(
        named(&objects, "Role", "tidegate-retire-worker")["metadata"]["namespace"],
        "cache"
    );
    assert_eq!(
        named(&objects, "Role", "tidegate-provision-volumes")["metadata"]["namespace"],
        "kube-system"
    );
}
