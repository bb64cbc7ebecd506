//! Rendered manifests, as objects.

use serde::Deserialize;
use serde_json::Value;
use tidegate_manifests::{Layout, Settings, render};

/// Two layouts, one of them with disks of two sizes.
pub(crate) fn settings() -> Settings {
    let layouts = ["2x300g", "1x300g-2x900g"].map(|layout| Layout::parse(layout).expect("a layout"));
    Settings::new(layouts.into(), vec!["alluxio-master-0.alluxio:19998".into()])
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
