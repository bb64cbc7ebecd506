//! The manifests: the record of what was applied, and what is there.

use std::collections::BTreeMap;

use http::Request;
use serde::Deserialize;
use serde_json::Value;
use tidegate_domain::bootstrap::{Objects, title};
use tidegate_domain::drift::{Manifest, Manifests};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;

use super::Cluster;
use crate::errors::Asked;

const GET: Asked = Asked {
    verb: "get",
    resource: "manifests",
};
const APPLY: Asked = Asked {
    verb: "patch",
    resource: "manifests",
};

/// The record.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    metadata: RecordMeta,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct RecordMeta {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Cluster {
    pub(super) async fn recorded_manifests(&self) -> Result<Manifests> {
        let (namespace, name) = (names::MANIFESTS_NAMESPACE, names::MANIFESTS_RECORD);
        let record = format!("ConfigMap {namespace}/{name}");
        let place = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let Some(found) = self.read_one::<Record>(GET, &place).await? else {
            return Ok(Manifests {
                record,
                ..Manifests::default()
            });
        };
        let unreadable = || {
            Error::new(
                ErrorName::KubernetesRefused,
                format!("{record} cannot be read as the record of the manifests: apply them again"),
            )
        };
        let text = found
            .data
            .get(names::MANIFESTS_RECORD_KEY)
            .ok_or_else(unreadable)?;
        let desired: Vec<Value> = serde_json::from_str(text).map_err(|_| unreadable())?;
        let mut objects = Vec::with_capacity(desired.len());
        for desired in desired {
            let path = path(&desired).ok_or_else(unreadable)?;
            objects.push(Manifest {
                name: title(&desired),
                live: self.read_one(GET, &path).await?,
                desired,
            });
        }
        let annotations = found.metadata.annotations;
        Ok(Manifests {
            record,
            objects: Some(objects),
            destroying_since: annotations.get(names::DESTROY_SINCE_ANNOTATION).cloned(),
        })
    }

    pub(super) async fn apply_object(&self, object: &Value) -> Result<Value> {
        let path = known_path(object)?;
        let body = object.to_string().into_bytes();
        let manager = names::FIELD_MANAGER;
        self.ask(APPLY, async || {
            let request = Request::patch(format!("{path}?fieldManager={manager}&force=true"))
                .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
                .body(body.clone())
                .map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        })
        .await
    }
}

impl Objects for Cluster {
    async fn get(&self, object: &Value) -> Result<Option<Value>> {
        self.read_one(GET, &known_path(object)?).await
    }

    async fn apply(&self, object: &Value) -> Result<Value> {
        self.apply_object(object).await
    }
}

pub(super) fn known_path(object: &Value) -> Result<String> {
    path(object).ok_or_else(|| {
        Error::new(
            ErrorName::Defect,
            format!("{} is of a kind that is not known here", title(object)),
        )
    })
}

/// The kinds that the manifests have: version, kind, and where the API server has them.
pub(super) const KINDS: [(&str, &str, &str, &str); 15] = [
    ("v1", "ConfigMap", "/api/v1", "configmaps"),
    ("v1", "Namespace", "/api/v1", "namespaces"),
    ("v1", "ServiceAccount", "/api/v1", "serviceaccounts"),
    ("v1", "Service", "/api/v1", "services"),
    ("apps/v1", "DaemonSet", "/apis/apps/v1", "daemonsets"),
    ("apps/v1", "Deployment", "/apis/apps/v1", "deployments"),
    ("apps/v1", "StatefulSet", "/apis/apps/v1", "statefulsets"),
    (
        "policy/v1",
        "PodDisruptionBudget",
        "/apis/policy/v1",
        "poddisruptionbudgets",
    ),
    (
        "storage.k8s.io/v1",
        "StorageClass",
        "/apis/storage.k8s.io/v1",
        "storageclasses",
    ),
    (
        "storage.k8s.io/v1",
        "CSIDriver",
        "/apis/storage.k8s.io/v1",
        "csidrivers",
    ),
    (
        "apiregistration.k8s.io/v1",
        "APIService",
        "/apis/apiregistration.k8s.io/v1",
        "apiservices",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterroles",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterrolebindings",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "Role",
        "/apis/rbac.authorization.k8s.io/v1",
        "roles",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
    ),
];

/// No manifest has it, but what the pods of a set wait for is asked of them.
const POD: (&str, &str, &str, &str) = ("v1", "Pod", "/api/v1", "pods");

/// Where the API server has an object of the kinds that the manifests have; none for any other.
fn path(object: &Value) -> Option<String> {
    let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    let known = KINDS
        .iter()
        .chain([&POD])
        .find(|known| (known.0, known.1) == (version, kind))?;
    let (_, _, group, plural) = known;
    let name = object["metadata"]["name"].as_str()?;
    Some(match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{group}/{plural}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_found_by_its_kind_namespace_and_name() {
        let object = |version: &str, kind: &str, namespace: Option<&str>| {
            let mut metadata = json!({"name": "n"});
            if let Some(namespace) = namespace {
                metadata["namespace"] = json!(namespace);
            }
            json!({"apiVersion": version, "kind": kind, "metadata": metadata})
        };
        let daemon_set = object("apps/v1", "DaemonSet", Some("alluxio"));
        assert_eq!(
            path(&daemon_set).as_deref(),
            Some("/apis/apps/v1/namespaces/alluxio/daemonsets/n")
        );
        assert_eq!(title(&daemon_set), "DaemonSet alluxio/n");
        let class = object("storage.k8s.io/v1", "StorageClass", None);
        assert_eq!(
            path(&class).as_deref(),
            Some("/apis/storage.k8s.io/v1/storageclasses/n")
        );
        assert_eq!(path(&object("v1", "Secret", Some("alluxio"))), None);
    }
}
