//! The rate at which the last drain saved files: a `ConfigMap` of its own, as the node that it was seen on is gone.

use std::collections::BTreeMap;

use http::{Request, header};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tidegate_domain::cache::{Rate, RateMemory};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;

use crate::cluster::Cluster;
use crate::errors::Asked;

const GET: Asked = Asked {
    verb: "get",
    resource: "configmaps",
};
const PATCH: Asked = Asked {
    verb: "patch",
    resource: "configmaps",
};
/// The key of the `ConfigMap` that holds it, as JSON.
const KEY: &str = "rate";

#[derive(Deserialize)]
struct Remembered {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

fn place(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{}", names::DRAIN_RATE)
}

impl RateMemory for Cluster {
    async fn last_rate(&self, namespace: &str) -> Result<Option<Rate>> {
        let found: Option<Remembered> = self.read_one(GET, &place(namespace)).await?;
        // What nobody can read is as good as nothing: the next drain writes it anew.
        Ok(found
            .and_then(|found| found.data.get(KEY).cloned())
            .and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn note_rate(&self, namespace: &str, rate: &Rate) -> Result<()> {
        let text = serde_json::to_string(rate)
            .map_err(|error| Error::new(ErrorName::Defect, format!("the rate cannot be written: {error}")))?;
        let body = json!({ "data": { KEY: text } }).to_string().into_bytes();
        let manager = self.patch_params().field_manager.unwrap_or_default();
        let uri = format!("{}?fieldManager={manager}", place(namespace));
        self.ask(PATCH, async || {
            let request = Request::patch(&uri)
                .header(header::CONTENT_TYPE, "application/merge-patch+json")
                .body(body.clone())
                .map_err(kube::Error::HttpError)?;
            self.client.request::<IgnoredAny>(request).await
        })
        .await
        .map(|_| ())
    }
}
