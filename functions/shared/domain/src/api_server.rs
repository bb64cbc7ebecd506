//! Where a cluster's API server is: found once by `resolve-node`, told to every other function of an execution.

#![allow(async_fn_in_trait)]

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Where the API server is, and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServer {
    /// Its URL.
    pub endpoint: String,
    /// The certificates (PEM) that its own must be signed by.
    pub certificate_authority: String,
}

/// EKS.
pub trait ApiServers {
    /// Where the API server of our cluster is.
    async fn api_server(&self) -> Result<ApiServer>;
}
