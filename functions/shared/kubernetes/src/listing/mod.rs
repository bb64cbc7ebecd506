//! The cluster as a whole, for the drift check: page by page, and of each object only what is looked at.
//!
//! The types of `k8s-openapi` would hold every field of 5,000 nodes with their images and managed fields; here what
//! is not named is skipped while it is read.

mod inventory;
mod manifests;
mod objects;
mod teardown;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_domain::drift::{ClusterView, Manifests, SeenClaim, SeenNode, SeenPod, SeenVolume};
use tidegate_domain::error::Result;
use tidegate_domain::names;

use crate::cluster::{Cluster, get};
use crate::errors::Asked;

/// Objects of one answer: a page of nodes of some KiB each is a few MiB, which is there as text and as objects at once.
const PAGE: u32 = 500;

/// An answer to a listing.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    /// An empty listing of metadata says `null`.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMeta {
    #[serde(rename = "continue")]
    next: String,
    /// So many are behind this page.
    remaining_item_count: u64,
}

impl Cluster {
    /// Lists a collection; each object is turned into what is kept of it as soon as its page is there.
    async fn pages<T: DeserializeOwned, V>(
        &self,
        resource: &'static str,
        path: &str,
        labels: Option<&str>,
        view: impl Fn(T) -> Result<Option<V>>,
    ) -> Result<Vec<V>> {
        let asked = Asked {
            verb: "list",
            resource,
        };
        let selector = labels
            .map(|labels| format!("&labelSelector={labels}"))
            .unwrap_or_default();
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let token = if next.is_empty() {
                String::new()
            } else {
                format!("&continue={next}")
            };
            let uri = format!("{path}?limit={PAGE}{selector}{token}");
            let page: Page<T> = self.read(asked, &uri).await?;
            for item in page.items.unwrap_or_default() {
                found.extend(view(item)?);
            }
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Reads an answer.
    async fn read<T: DeserializeOwned>(&self, asked: Asked, uri: &str) -> Result<T> {
        self.ask(asked, async || self.client.request(get(uri)?).await)
            .await
    }
}

impl ClusterView for Cluster {
    async fn nodes(&self) -> Result<Vec<SeenNode>> {
        self.pages("nodes", "/api/v1/nodes", None, |node: objects::Node| {
            Ok(Some(node.view()))
        })
        .await
    }

    async fn volumes(&self) -> Result<Vec<SeenVolume>> {
        self.pages(
            "persistentvolumes",
            "/api/v1/persistentvolumes",
            Some(&names::INSTANCE_ID_LABEL.replace('/', "%2F")),
            objects::Volume::view,
        )
        .await
    }

    async fn claims(&self, namespace: &str) -> Result<Vec<SeenClaim>> {
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
        self.pages("persistentvolumeclaims", &path, None, |claim: objects::Claim| {
            Ok(Some(claim.view()))
        })
        .await
    }

    async fn pods(&self, namespace: &str) -> Result<Vec<SeenPod>> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.pages("pods", &path, None, |pod: objects::Pod| Ok(Some(pod.view())))
            .await
    }

    async fn manifests(&self) -> Result<Manifests> {
        self.recorded_manifests().await
    }

    async fn node(&self, name: &str) -> Result<Option<SeenNode>> {
        let asked = Asked {
            verb: "get",
            resource: "nodes",
        };
        let node = self.read_one(asked, &format!("/api/v1/nodes/{name}")).await?;
        Ok(node.map(objects::Node::view))
    }

    async fn apply(&self, object: &Value) -> Result<()> {
        self.apply_object(object).await.map(|_| ())
    }
}
