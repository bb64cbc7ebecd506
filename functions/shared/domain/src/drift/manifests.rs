//! The cluster's manifests as they were applied, and as they are.

use serde_json::Value;

/// What is known of the manifests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests {
    /// The object that records what was applied.
    pub record: String,
    /// What it records, each with what is there; none where there is no record.
    pub objects: Option<Vec<Manifest>>,
    /// Since when the cluster is being destroyed; none where it is not.
    pub destroying_since: Option<String>,
}

/// An object of the manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Kind, namespace and name.
    pub name: String,
    /// As it was applied.
    pub desired: Value,
    /// As it is; none where it is gone.
    pub live: Option<Value>,
}

impl Manifest {
    /// Whether it may be applied again by a function. Rights are not: a function that may write rights has all of them.
    /// Nor what is gone from a namespace of the cluster's own: to make objects there is more than its name allows.
    #[must_use]
    pub fn ours_to_apply(&self) -> bool {
        let kind = self.desired["kind"].as_str().unwrap_or_default();
        let namespace = self.desired["metadata"]["namespace"].as_str();
        let system = namespace.is_some_and(|namespace| matches!(namespace, "kube-system" | "default"));
        match kind {
            "ConfigMap" | "DaemonSet" | "ServiceAccount" => !system || self.live.is_some(),
            "StorageClass" => true,
            _ => false,
        }
    }
}

/// Where an object differs from what was applied; none where it does not. What the API server and others add does not
/// count: only what was written is compared.
#[must_use]
pub fn difference(desired: &Value, live: &Value) -> Option<String> {
    compare(desired, live, "")
}

fn compare(desired: &Value, live: &Value, path: &str) -> Option<String> {
    match (desired, live) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let below = format!("{path}.{key}");
            match found.get(key) {
                Some(found) => compare(value, found, &below),
                // What is empty is dropped on the way.
                None if empty(value) => None,
                None => Some(format!("{} is gone", below.trim_start_matches('.'))),
            }
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(index, (wanted, found))| compare(wanted, found, &format!("{path}[{index}]"))),
        (Value::Array(wanted), Value::Array(found)) => Some(format!(
            "{} has {} items, not {}",
            path.trim_start_matches('.'),
            found.len(),
            wanted.len()
        )),
        (wanted, found) if wanted == found || same_quantity(path, wanted, found) => None,
        (wanted, found) => Some(format!(
            "{} is {}, not {}",
            path.trim_start_matches('.'),
            short(found),
            short(wanted)
        )),
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The API server writes quantities in a form of its own: `9216Mi` comes back as `9Gi`.
fn same_quantity(path: &str, wanted: &Value, found: &Value) -> bool {
    let is_quantity = path.contains(".requests.")
        || path.contains(".limits.")
        || path.contains(".capacity.")
        || path.ends_with(".sizeLimit");
    let read = |value: &Value| match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => number.as_u64().map(|number| u128::from(number) * 1_000),
        _ => None,
    };
    is_quantity && read(wanted).is_some() && read(wanted) == read(found)
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor: u128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    number.parse::<u128>().ok()?.checked_mul(factor)
}

/// A value as it is told: the beginning of a long one.
fn short(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_is_no_difference() {
        let desired = json!({"metadata": {"name": "a"}, "spec": {"items": [{"a": 1}], "none": {}}});
        let live = json!({
            "metadata": {"name": "a", "uid": "u", "managedFields": []},
            "spec": {"items": [{"a": 1, "defaulted": true}], "more": 2},
            "status": {},
        });
        assert_eq!(difference(&desired, &live), None);
    }

    #[test]
    fn a_changed_missing_or_added_field_is_named_with_its_place() {
        let desired = json!({"spec": {"a": 1, "list": ["x"]}});
        let told = |live: Value| difference(&desired, &live).unwrap_or_default();
        assert_eq!(
            told(json!({"spec": {"a": 2, "list": ["x"]}})),
            "spec.a is 2, not 1"
        );
        assert_eq!(told(json!({"spec": {"list": ["x"]}})), "spec.a is gone");
        assert_eq!(
            told(json!({"spec": {"a": 1, "list": ["x", "y"]}})),
            "spec.list has 2 items, not 1"
        );
        assert_eq!(
            told(json!({"spec": {"a": 1, "list": ["y"]}})),
            "spec.list[0] is \"y\", not \"x\""
        );
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean_and_other_texts_to_the_letter() {
        let of = |place: &str, value: &str| json!({place: {"memory": value}});
        assert_eq!(
            difference(&of("limits", "9216Mi"), &json!({"limits": {"memory": "9Gi"}})),
            None
        );
        let spec = |cpu: Value| json!({"resources": {"requests": {"cpu": cpu}}});
        assert_eq!(difference(&spec(json!("1")), &spec(json!("1000m"))), None);
        assert_eq!(difference(&spec(json!(1)), &spec(json!("1"))), None);
        assert!(difference(&spec(json!("250m")), &spec(json!("1"))).is_some());
        assert!(difference(&of("data", "9216Mi"), &of("data", "9Gi")).is_some());
        let volume =
            |limit: &str| json!({"volumes": [{"emptyDir": {"medium": "Memory", "sizeLimit": limit}}]});
        assert_eq!(difference(&volume("1024Mi"), &volume("1Gi")), None);
        assert!(difference(&volume("1024Mi"), &volume("2Gi")).is_some());
    }

    #[test]
    fn rights_are_never_ours_to_apply_and_system_objects_only_where_they_are() {
        let manifest = |kind: &str, namespace: &str, live: Option<Value>| Manifest {
            name: String::new(),
            desired: json!({"kind": kind, "metadata": {"namespace": namespace}}),
            live,
        };
        assert!(manifest("DaemonSet", "alluxio", None).ours_to_apply());
        assert!(manifest("DaemonSet", "kube-system", Some(json!({}))).ours_to_apply());
        assert!(!manifest("DaemonSet", "kube-system", None).ours_to_apply());
        for kind in ["ClusterRole", "RoleBinding", "Namespace", "Secret"] {
            assert!(
                !manifest(kind, "alluxio", Some(json!({}))).ours_to_apply(),
                "{kind}"
            );
        }
    }
}
