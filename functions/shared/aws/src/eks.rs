use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_eks::Client;
use aws_sdk_eks::operation::describe_cluster::DescribeClusterError;
use aws_sdk_eks::types::{AutoScalingGroup, Cluster, Nodegroup, NodegroupResources, NodegroupScalingConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::bootstrap::{KnownCluster, KnownClusters, NodeGroupRow};
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::errors::{classify, incomplete, told};

const DESCRIBE_CLUSTER: &str = "eks:DescribeCluster";
const LIST_NODE_GROUPS: &str = "eks:ListNodegroups";
const DESCRIBE_NODE_GROUP: &str = "eks:DescribeNodegroup";
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

impl KnownClusters for EksCluster {
    async fn cluster(&self) -> Result<Option<KnownCluster>> {
        let answer = match self.client.describe_cluster().name(&self.name).send().await {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeClusterError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(classify(DESCRIBE_CLUSTER, &error)),
        };
        let cluster = answer
            .cluster()
            .ok_or_else(|| incomplete(DESCRIBE_CLUSTER, "the cluster"))?;
        Ok(Some(KnownCluster {
            version: told(DESCRIBE_CLUSTER, cluster.version(), "version")?,
            status: status(cluster).to_owned(),
            api_server: api_server(cluster)?,
        }))
    }

    async fn node_groups(&self) -> Result<Vec<NodeGroupRow>> {
        let mut names = self
            .client
            .list_nodegroups()
            .cluster_name(&self.name)
            .into_paginator()
            .items()
            .send();
        let mut groups = Vec::new();
        while let Some(name) = names.next().await {
            let name = name.map_err(|error| classify(LIST_NODE_GROUPS, &error))?;
            let answer = self
                .client
                .describe_nodegroup()
                .cluster_name(&self.name)
                .nodegroup_name(&name)
                .send()
                .await
                .map_err(|error| classify(DESCRIBE_NODE_GROUP, &error))?;
            groups.extend(answer.nodegroup().map(|group| node_group(name, group)));
        }
        Ok(groups)
    }
}

fn node_group(name: String, group: &Nodegroup) -> NodeGroupRow {
    let scaling = group.scaling_config();
    let size = |of: fn(&NodegroupScalingConfig) -> Option<i32>| scaling.and_then(of).unwrap_or_default();
    let resources = group.resources().map(NodegroupResources::auto_scaling_groups);
    NodeGroupRow {
        name,
        status: group
            .status()
            .map_or("unknown", |status| status.as_str())
            .to_owned(),
        min_size: size(NodegroupScalingConfig::min_size),
        max_size: size(NodegroupScalingConfig::max_size),
        desired_size: size(NodegroupScalingConfig::desired_size),
        instance_types: group.instance_types().to_vec(),
        auto_scaling_groups: resources
            .unwrap_or_default()
            .iter()
            .filter_map(AutoScalingGroup::name)
            .map(str::to_owned)
            .collect(),
    }
}

fn status(cluster: &Cluster) -> &str {
    cluster.status().map_or("unknown", |status| status.as_str())
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
    api_server(cluster)?.ok_or_else(|| {
        Error::new(
            ErrorName::AwsUnavailable,
            format!(
                "{DESCRIBE_CLUSTER}: cluster {name} has no endpoint, its status is {}",
                status(cluster)
            ),
        )
    })
}

/// None while the cluster has no endpoint yet.
fn api_server(cluster: &Cluster) -> Result<Option<ApiServer>> {
    let certificate_authority = cluster.certificate_authority().and_then(|found| found.data());
    let (Some(endpoint), Some(certificate_authority)) = (cluster.endpoint(), certificate_authority) else {
        return Ok(None);
    };
    let certificate_authority = STANDARD
        .decode(certificate_authority)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| incomplete(DESCRIBE_CLUSTER, "certificateAuthority.data: PEM in base64"))?;
    Ok(Some(ApiServer {
        endpoint: endpoint.to_owned(),
        certificate_authority,
    }))
}
