use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_eks::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::errors::{classify, incomplete};

const DESCRIBE_CLUSTER: &str = "eks:DescribeCluster";
/// A cluster that is made again under its name is somewhere else, and takes ten minutes to be made. Hundreds of nodes that
/// join at once would be hundreds of calls.
const KEPT: Duration = Duration::from_mins(1);

/// A cluster at EKS.
#[derive(Debug)]
pub struct EksCluster {
    client: Client,
    name: String,
    kept: Mutex<Option<(Instant, ApiServer)>>,
}

impl EksCluster {
    /// The cluster of that name, in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig, name: &str) -> Self {
        Self {
            client: Client::new(configuration),
            name: name.to_owned(),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> Option<ApiServer> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, api_server) = kept.as_ref()?;
        (since.elapsed() < KEPT).then(|| api_server.clone())
    }
}

impl ApiServers for EksCluster {
    /// By `eks:DescribeCluster`, once a minute at most. `AwsUnavailable` also where the cluster has no endpoint yet (it is
    /// being created); `AwsRefused` where there is no such cluster.
    async fn api_server(&self) -> Result<ApiServer> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let found = described(&self.client, &self.name).await?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

async fn described(client: &Client, name: &str) -> Result<ApiServer> {
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
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| incomplete(DESCRIBE_CLUSTER, "certificateAuthority.data: PEM in base64"))?;
    Ok(ApiServer {
        endpoint: endpoint.to_owned(),
        certificate_authority,
    })
}
