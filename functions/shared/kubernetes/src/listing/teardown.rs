//! The cluster as it is taken away: what is there by its metadata alone, and the deletion of exactly that.

use std::collections::BTreeMap;

use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_domain::destroy::{HeldVolume, Teardown, WorkerPod};
use tidegate_domain::drift::{ClusterView, SeenNode};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange, VolumePhase};
use tidegate_domain::ports::{Changed, Nodes};

use super::manifests::{KINDS, known_path};
use super::{Cluster, PAGE, Page};
use crate::errors::Asked;

/// Of each object only its metadata.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// What Kubernetes derives from other objects, or tells of them; and figures that are no objects.
const DERIVED: [&str; 4] = ["events", "endpoints", "endpointslices", "leases"];
const FIGURES: &str = "metrics.k8s.io";

const LIST: Asked = Asked {
    verb: "list",
    resource: "objects",
};
const DELETE: Asked = Asked {
    verb: "delete",
    resource: "objects",
};
const PATCH: Asked = Asked {
    verb: "patch",
    resource: "objects",
};

/// The resources of one version of an API group.
#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

impl Resource {
    /// Whether somebody makes objects of it in a namespace. `pods/log` is a part of another.
    fn made_in_a_namespace(&self) -> bool {
        self.namespaced
            && !self.name.contains('/')
            && self.verbs.iter().any(|verb| verb == "list")
            && !DERIVED.contains(&self.name.as_str())
    }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    labels: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Volume {
    metadata: Meta,
    spec: VolumeSpec,
    status: VolumeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeSpec {
    storage_class_name: String,
    claim_ref: Option<Meta>,
    persistent_volume_reclaim_policy: String,
    csi: Option<Csi>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Csi {
    volume_handle: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VolumeStatus {
    phase: String,
}

impl Volume {
    fn view(self) -> HeldVolume {
        HeldVolume {
            name: self.metadata.name,
            uid: self.metadata.uid,
            storage_class: self.spec.storage_class_name,
            phase: match self.status.phase.as_str() {
                "Available" => VolumePhase::Available,
                "Bound" => VolumePhase::Bound,
                "Released" => VolumePhase::Released,
                "Failed" => VolumePhase::Failed,
                _ => VolumePhase::Pending,
            },
            claim: self.spec.claim_ref.map(|claim| (claim.namespace, claim.name)),
            deletes: self.spec.persistent_volume_reclaim_policy == "Delete",
            handle: self.spec.csi.map(|csi| csi.volume_handle),
            of_instance: self.metadata.labels.contains_key(names::INSTANCE_ID_LABEL),
        }
    }
}

impl Cluster {
    /// Lists the metadata of a collection; each object gets version and kind, which a listing does not tell.
    async fn metadata_of(&self, version: &str, kind: &str, path: &str) -> Result<Vec<Value>> {
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let uri = if next.is_empty() {
                format!("{path}?limit={PAGE}")
            } else {
                format!("{path}?limit={PAGE}&continue={next}")
            };
            let page: Page<Value> = self
                .ask(LIST, async || {
                    let request = Request::get(&uri)
                        .header(http::header::ACCEPT, METADATA)
                        .body(Vec::new())
                        .map_err(kube::Error::HttpError)?;
                    self.client.request(request).await
                })
                .await?;
            found.extend(
                page.items
                    .unwrap_or_default()
                    .into_iter()
                    .map(|item| json!({ "apiVersion": version, "kind": kind, "metadata": item["metadata"] })),
            );
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(found);
            }
        }
    }

    /// The collections in a namespace: version, kind and path.
    async fn collections(&self, namespace: &str) -> Result<Vec<(String, String, String)>> {
        let groups: Groups = self.read(LIST, "/apis").await?;
        let others = groups.groups.into_iter().filter(|group| group.name != FIGURES);
        let others = others.map(|group| {
            let version = group.preferred_version.group_version;
            (format!("/apis/{version}"), version)
        });
        let mut found = Vec::new();
        for (path, version) in [("/api/v1".to_owned(), "v1".to_owned())]
            .into_iter()
            .chain(others)
        {
            let resources: Resources = self.read(LIST, &path).await?;
            let made = resources
                .resources
                .into_iter()
                .filter(Resource::made_in_a_namespace);
            found.extend(made.map(|resource| {
                let place = format!("{path}/namespaces/{namespace}/{}", resource.name);
                (version.clone(), resource.kind, place)
            }));
        }
        Ok(found)
    }

    /// Sends a request that changes an object; that it is gone, or another by now, is an answer.
    async fn change_object(
        &self,
        asked: Asked,
        request: impl AsyncFn() -> kube::Result<Value>,
    ) -> Result<Changed> {
        match self.send(request).await {
            Ok(_) => Ok(Changed::Done),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Changed::Gone),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Changed::Conflict),
            Err(error) => Err(self.classify(asked, error)),
        }
    }
}

/// Where an object of any kind is; of those that the manifests do not have, claims and volumes are deleted.
fn place(object: &Value) -> Result<String> {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    match object["kind"].as_str() {
        Some("PersistentVolumeClaim") => Ok(format!(
            "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
        )),
        Some("PersistentVolume") => Ok(format!("/api/v1/persistentvolumes/{name}")),
        _ => known_path(object),
    }
}

impl Teardown for Cluster {
    async fn managed(&self) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for (version, kind, group, plural) in KINDS {
            found.extend(
                self.metadata_of(version, kind, &format!("{group}/{plural}"))
                    .await?,
            );
        }
        Ok(found)
    }

    async fn in_namespace(&self, namespace: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for (version, kind, path) in self.collections(namespace).await? {
            found.extend(self.metadata_of(&version, &kind, &path).await?);
        }
        Ok(found)
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>> {
        ClusterView::nodes(self).await
    }

    async fn change_node(&self, node: &Node, change: &NodeChange) -> Result<Changed> {
        Nodes::change(self, node, change).await
    }

    async fn worker_pods(&self, namespace: &str) -> Result<Vec<WorkerPod>> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let selector = names::WORKER_POD_SELECTOR.replace('=', "%3D");
        self.pages("pods", &path, Some(&selector), |pod: Pod| {
            Ok(Some(WorkerPod {
                name: pod.metadata.name,
                host: pod.status.host_ip,
                running: pod.status.phase == "Running",
                deleting: pod.metadata.deletion_timestamp.is_some(),
            }))
        })
        .await
    }

    async fn held_volumes(&self) -> Result<Vec<HeldVolume>> {
        self.pages(
            "persistentvolumes",
            "/api/v1/persistentvolumes",
            None,
            |volume: Volume| Ok(Some(volume.view())),
        )
        .await
    }

    /// Its dependents first: as long as a pod of a `DaemonSet` runs, the set is there.
    async fn remove(&self, object: &Value) -> Result<Changed> {
        let path = place(object)?;
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": { "uid": object["metadata"]["uid"] },
        });
        let body = options.to_string().into_bytes();
        self.change_object(DELETE, async || {
            let request = Request::delete(&path)
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.clone())
                .map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        })
        .await
    }

    async fn merge(&self, object: &Value, change: &Value) -> Result<Changed> {
        let path = known_path(object)?;
        let body = change.to_string().into_bytes();
        let manager = self.patch_params().field_manager.unwrap_or_default();
        self.change_object(PATCH, async || {
            let request = Request::patch(format!("{path}?fieldManager={manager}"))
                .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
                .body(body.clone())
                .map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str, namespaced: bool, verbs: &[&str]) -> Resource {
        Resource {
            name: name.to_owned(),
            kind: String::new(),
            namespaced,
            verbs: verbs.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_somebody_makes_in_a_namespace_is_looked_at_and_what_is_derived_is_not() {
        let all = ["get", "list"];
        assert!(resource("secrets", true, &all).made_in_a_namespace());
        assert!(resource("sparkapplications", true, &all).made_in_a_namespace());
        for derived in DERIVED {
            assert!(!resource(derived, true, &all).made_in_a_namespace(), "{derived}");
        }
        assert!(!resource("pods/log", true, &all).made_in_a_namespace());
        assert!(!resource("nodes", false, &all).made_in_a_namespace());
        assert!(!resource("localsubjectaccessreviews", true, &["create"]).made_in_a_namespace());
    }

    #[test]
    fn claims_and_volumes_have_their_place_and_what_nobody_may_delete_has_none() {
        let object =
            |kind: &str| json!({ "kind": kind, "metadata": { "namespace": "alluxio", "name": "n" } });
        assert_eq!(
            place(&object("PersistentVolumeClaim")).as_deref(),
            Ok("/api/v1/namespaces/alluxio/persistentvolumeclaims/n")
        );
        assert_eq!(
            place(&object("PersistentVolume")).as_deref(),
            Ok("/api/v1/persistentvolumes/n")
        );
        assert!(place(&object("Secret")).is_err());
    }
}
