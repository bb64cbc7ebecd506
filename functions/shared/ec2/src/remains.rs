//! What of a cluster EC2 still has.

use aws_sdk_ec2::types::{Filter, NatGatewayState, Reservation, VolumeState};
use tidegate_aws::{classify, told};
use tidegate_domain::destroy::{Remain, Remains};
use tidegate_domain::error::Result;

use crate::Ec2;

const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";
const DESCRIBE_VOLUMES: &str = "ec2:DescribeVolumes";
const DESCRIBE_NAT_GATEWAYS: &str = "ec2:DescribeNatGateways";
const DESCRIBE_ADDRESSES: &str = "ec2:DescribeAddresses";

/// The tag that infra/deploy.py gives the cluster's stack, and `CloudFormation` all that is in it.
const STACK_TAG: &str = "tag:tidegate-cluster";

/// The key of the tag that EKS gives its nodes, and the EBS driver its volumes.
fn cluster_tag(cluster: &str) -> Filter {
    let key = format!("kubernetes.io/cluster/{cluster}");
    Filter::builder().name("tag-key").values(key).build()
}

fn stack_tag(cluster: &str) -> Filter {
    Filter::builder().name(STACK_TAG).values(cluster).build()
}

impl Remains for Ec2 {
    async fn remains(&self, cluster: &str) -> Result<Vec<Remain>> {
        let mut remains = self.instances_left(cluster).await?;
        remains.extend(self.volumes_left(cluster).await?);
        remains.extend(self.nat_gateways_left(cluster).await?);
        remains.extend(self.addresses_left(cluster).await?);
        Ok(remains)
    }
}

impl Ec2 {
    async fn instances_left(&self, cluster: &str) -> Result<Vec<Remain>> {
        let mut pages = self
            .client
            .describe_instances()
            .filters(cluster_tag(cluster))
            .into_paginator()
            .send();
        let mut left = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(DESCRIBE_INSTANCES, &error))?;
            for instance in page.reservations().iter().flat_map(Reservation::instances) {
                let state = instance.state().and_then(|state| Some(state.name()?.as_str()));
                let state = told(DESCRIBE_INSTANCES, state, "State")?;
                // One that has ended is told of for an hour more, and costs nothing.
                if state != "terminated" {
                    let id = told(DESCRIBE_INSTANCES, instance.instance_id(), "InstanceId")?;
                    left.push(Remain {
                        kind: "instance",
                        id,
                        state,
                    });
                }
            }
        }
        Ok(left)
    }

    async fn volumes_left(&self, cluster: &str) -> Result<Vec<Remain>> {
        let mut pages = self
            .client
            .describe_volumes()
            .filters(cluster_tag(cluster))
            .into_paginator()
            .items()
            .send();
        let mut left = Vec::new();
        while let Some(volume) = pages.next().await {
            let volume = volume.map_err(|error| classify(DESCRIBE_VOLUMES, &error))?;
            left.push(Remain {
                kind: "volume",
                id: told(DESCRIBE_VOLUMES, volume.volume_id(), "VolumeId")?,
                state: told(DESCRIBE_VOLUMES, volume.state().map(VolumeState::as_str), "State")?,
            });
        }
        left.retain(|volume| volume.state != "deleted");
        Ok(left)
    }

    async fn nat_gateways_left(&self, cluster: &str) -> Result<Vec<Remain>> {
        let mut pages = self
            .client
            .describe_nat_gateways()
            .filter(stack_tag(cluster))
            .into_paginator()
            .items()
            .send();
        let mut left = Vec::new();
        while let Some(gateway) = pages.next().await {
            let gateway = gateway.map_err(|error| classify(DESCRIBE_NAT_GATEWAYS, &error))?;
            left.push(Remain {
                kind: "NAT gateway",
                id: told(DESCRIBE_NAT_GATEWAYS, gateway.nat_gateway_id(), "NatGatewayId")?,
                state: told(
                    DESCRIBE_NAT_GATEWAYS,
                    gateway.state().map(NatGatewayState::as_str),
                    "State",
                )?,
            });
        }
        // One that is gone is told of for an hour more.
        left.retain(|gateway| gateway.state != "deleted");
        Ok(left)
    }

    async fn addresses_left(&self, cluster: &str) -> Result<Vec<Remain>> {
        let answer = self
            .client
            .describe_addresses()
            .filters(stack_tag(cluster))
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_ADDRESSES, &error))?;
        answer
            .addresses()
            .iter()
            .map(|address| {
                Ok(Remain {
                    kind: "address",
                    id: told(DESCRIBE_ADDRESSES, address.allocation_id(), "AllocationId")?,
                    state: "allocated".to_owned(),
                })
            })
            .collect()
    }
}
