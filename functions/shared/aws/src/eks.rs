use aws_config::SdkConfig;
use aws_sdk_eks::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::errors::{classify, incomplete};

const DESCRIBE_CLUSTER: &str = "eks:DescribeCluster";

/// Where a cluster's API server is, and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The URL of the API server.
    pub endpoint: String,
    /// The certificates (PEM) that the API server's own must be signed by.
    pub certificate_authority: Vec<u8>,
}

/// Looks up where the API server of a cluster is (`eks:DescribeCluster`).
///
/// # Errors
/// `AwsUnavailable` also where the cluster has no endpoint yet (it is being created); `AwsRefused` where there is no
/// such cluster.
pub async fn cluster_access(configuration: &SdkConfig, cluster: &str) -> Result<ClusterAccess> {
    access(&Client::new(configuration), cluster).await
}

async fn access(client: &Client, name: &str) -> Result<ClusterAccess> {
    let answer = client
        .describe_cluster()
        .name(name)
        .send()
        .await
        .map_err(|error| classify(DESCRIBE_CLUSTER, &error))?;
    let cluster = answer
        .cluster()
        .ok_or_else(|| incomplete(DESCRIBE_CLUSTER, "the cluster"))?;
    let certificate_authority = cluster.certificate_authority().and_then(|found| found.data());
    let (Some(endpoint), Some(certificate_authority)) = (cluster.endpoint(), certificate_authority) else {
        let status = cluster.status().map_or("unknown", |status| status.as_str());
        return Err(Error::new(
            ErrorName::AwsUnavailable,
            format!("{DESCRIBE_CLUSTER}: cluster {name} has no endpoint, its status is {status}"),
        ));
    };
    let certificate_authority = STANDARD
        .decode(certificate_authority)
        .map_err(|_| incomplete(DESCRIBE_CLUSTER, "certificateAuthority.data in base64"))?;
    Ok(ClusterAccess {
        endpoint: endpoint.to_owned(),
        certificate_authority,
    })
}
