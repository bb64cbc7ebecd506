//! Rendered manifests, as objects.

use serde::Deserialize;
use serde_json::Value;
use tidegate_manifests::{AddOn, JavaMemory, Layout, MasterSet, Settings, render};

/// Two layouts, one of them with disks of two sizes.
pub(crate) fn settings() -> Settings {
    let layouts = ["2x300g", "1x300g-2x900g"].map(|layout| Layout::parse(layout).expect("a layout"));
    Settings::new(layouts.into(), vec!["alluxio-master-0.alluxio:19998".into()])
}

/// Everything that a cluster can be given, with three masters.
pub(crate) fn prod() -> Settings {
    Settings {
        masters: vec![],
        master_set: Some(MasterSet::new(3, "s3://bucket/alluxio".into())),
        proxy_replicas: 2,
        add_ons: vec![
            AddOn::MetricsServer {
                image: AddOn::metrics_server_image(),
            },
            AddOn::ClusterAutoscaler {
                image: AddOn::cluster_autoscaler_image("1.35").expect("known"),
                cluster_name: "prod".into(),
                region: "us-west-2".into(),
            },
        ],
        ..settings()
    }
}

/// Nodes without disks, and one master whose files are in a directory.
pub(crate) fn dev() -> Settings {
    let small = JavaMemory {
        heap_mib: 512,
        direct_mib: 256,
    };
    Settings {
        layouts: vec![Layout::memory(1024)],
        masters: vec![],
        master_set: Some(MasterSet {
            memory: small,
            ..MasterSet::new(1, "/under-store".into())
        }),
        worker: small,
        proxy_replicas: 1,
        ..settings()
    }
}

pub(crate) fn objects(settings: &Settings) -> Vec<Value> {
    let text = render(settings).expect("rendered");
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .collect()
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The pod specs of the worker `DaemonSet`s.
pub(crate) fn worker_pods(objects: &[Value]) -> Vec<&Value> {
    of_kind(objects, "DaemonSet")
        .into_iter()
        .filter(|set| set["metadata"]["labels"]["role"] == "alluxio-worker")
        .map(|set| &set["spec"]["template"]["spec"])
        .collect()
}

/// The pod specs of all that runs something.
pub(crate) fn pods(objects: &[Value]) -> Vec<&Value> {
    objects
        .iter()
        .map(|object| &object["spec"]["template"]["spec"])
        .filter(|pod| pod["containers"].is_array())
        .collect()
}

/// The pod spec of the masters.
pub(crate) fn master_pod(objects: &[Value]) -> &Value {
    &named(objects, "StatefulSet", "alluxio-master")["spec"]["template"]["spec"]
}

pub(crate) fn provisioner_pod(objects: &[Value]) -> &Value {
    &named(objects, "DaemonSet", "local-volume-provisioner")["spec"]["template"]["spec"]
}

/// The value of a container's variable.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> &'a str {
    list(&container["env"])
        .iter()
        .find(|variable| variable["name"] == name)
        .and_then(|variable| variable["value"].as_str())
        .unwrap_or_else(|| panic!("no {name}"))
}

/// The value of `-Dname=` or of another flag that begins so.
pub(crate) fn flag<'a>(options: &'a str, start: &str) -> &'a str {
    options
        .split(' ')
        .find_map(|option| option.strip_prefix(start))
        .unwrap_or_else(|| panic!("no {start} in {options}"))
}
