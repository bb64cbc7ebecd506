//! The manifests of `infra/kubernetes`, each judged by the API server without being made.

#![allow(clippy::expect_used, reason = "part of tests")]

use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{Scope, pinned_kind};
use serde::Deserialize;
use tidegate_manifests::{AddOn, Layout, MasterSet, Settings, render};

use crate::objects::client;

fn layouts(names: &[&str]) -> Vec<Layout> {
    names
        .iter()
        .map(|name| Layout::parse(name).expect("a layout"))
        .collect()
}

/// As `samples/` would have it for a large cluster: everything.
fn prod(minor: &str) -> Settings {
    let autoscaler = AddOn::ClusterAutoscaler {
        image: AddOn::cluster_autoscaler_image(minor).expect("known"),
        cluster_name: "tidegate".into(),
        region: "us-west-2".into(),
    };
    let metrics = AddOn::MetricsServer {
        image: AddOn::metrics_server_image(),
    };
    Settings {
        master_set: Some(MasterSet::new(3, "s3://bucket/alluxio".into())),
        proxy_replicas: 3,
        add_ons: vec![metrics, autoscaler],
        ..Settings::new(layouts(&["2x300g", "2x600g", "1x300g-2x900g"]), vec![])
    }
}

/// Nodes without disks, one master, files in a directory.
fn dev() -> Settings {
    Settings {
        master_set: Some(MasterSet::new(1, "/under-store".into())),
        proxy_replicas: 1,
        ..Settings::new(vec![Layout::memory(1024)], vec![])
    }
}

/// What the API server says against each object; nothing where all is well.
async fn refused(settings: &Settings) -> (usize, Vec<String>) {
    let client = client().await;
    let text = render(settings).expect("rendered");
    let (mut asked, mut refused) = (0, Vec::new());
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = DynamicObject::deserialize(document).expect("an object");
        let TypeMeta { api_version, kind } = object.types.clone().expect("a kind");
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let (resource, known) = pinned_kind(&client, &GroupVersionKind::gvk(group, version, &kind))
            .await
            .expect("a kind that the API server knows");
        let name = object.metadata.name.clone().expect("a name");
        let api: Api<DynamicObject> = match (&known.scope, &object.metadata.namespace) {
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(client.clone(), namespace, &resource)
            }
            (Scope::Cluster, None) => Api::all_with(client.clone(), &resource),
            (scope, namespace) => {
                refused.push(format!("{kind} {name} in {namespace:?} is {scope:?}"));
                continue;
            }
        };
        // As `kubectl apply --server-side --dry-run=server`: checked to the last field, and not kept.
        let look = PatchParams {
            dry_run: true,
            force: true,
            field_manager: Some("tidegate-test".into()),
            field_validation: Some(ValidationDirective::Strict),
        };
        asked += 1;
        if let Err(error) = api.patch(&name, &look, &Patch::Apply(&object)).await {
            refused.push(format!("{kind} {name}: {error}"));
        }
    }
    (asked, refused)
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn every_manifest_of_a_whole_cluster_is_accepted() {
    for minor in ["1.34", "1.35", "1.36"] {
        let (asked, refused) = refused(&prod(minor)).await;
        assert!(asked > 60, "{asked}");
        assert_eq!(refused, [""; 0]);
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn every_manifest_of_a_cluster_without_disks_is_accepted() {
    let (asked, refused) = refused(&dev()).await;
    assert!(asked > 50, "{asked}");
    assert_eq!(refused, [""; 0]);
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn every_manifest_beside_masters_elsewhere_is_accepted() {
    let masters = vec![
        "master-0.example.com:19998".into(),
        "master-1.example.com:19998".into(),
    ];
    let (asked, refused) = refused(&Settings::new(layouts(&["2x300g"]), masters)).await;
    assert!(asked > 40, "{asked}");
    assert_eq!(refused, [""; 0]);
}
