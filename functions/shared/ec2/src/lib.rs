//! EC2 instances and the disks of their types.

mod remains;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{
    DiskType, EphemeralNvmeSupport, Filter, Instance, InstanceStorageInfo, InstanceType, Reservation,
};
use tidegate_aws::{classify, told};
use tidegate_domain::bootstrap::LaunchTemplates;
use tidegate_domain::disks::Disk;
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{Ec2Instance, Instances};
use tidegate_domain::subject::InstanceId;

const DESCRIBE_TYPES: &str = "ec2:DescribeInstanceTypes";
const DESCRIBE_TEMPLATES: &str = "ec2:DescribeLaunchTemplateVersions";
const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";
/// EC2 does not know the instance: it ended over an hour ago, belongs to another account, or never was. "Malformed" is
/// its word for an id that it cannot have given to anything.
const UNKNOWN_INSTANCE: [&str; 2] = ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"];

/// The tag that Auto Scaling gives each instance that it launches, and takes off one that is detached.
const GROUP_TAG: &str = "aws:autoscaling:groupName";
const NAME_FILTER: &str = "private-dns-name";
/// Values that a filter may hold.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>
const NAMES_A_CALL: usize = 200;

/// EC2 by its API.
#[derive(Debug)]
pub struct Ec2 {
    client: Client,
    // The disks of a type never change: one call for each type in the life of a process.
    disks: Mutex<HashMap<String, Vec<Disk>>>,
}

impl Ec2 {
    /// EC2 in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self::from(Client::new(configuration))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Vec<Disk>>> {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Client> for Ec2 {
    fn from(client: Client) -> Self {
        Self {
            client,
            disks: Mutex::default(),
        }
    }
}

impl Instances for Ec2 {
    async fn local_disks(&self, instance_type: &str) -> Result<Vec<Disk>> {
        if let Some(disks) = self.kept().get(instance_type) {
            return Ok(disks.clone());
        }
        let answer = self
            .client
            .describe_instance_types()
            .instance_types(InstanceType::from(instance_type))
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_TYPES, &error))?;
        let found = answer
            .instance_types()
            .iter()
            .find(|found| found.instance_type().map(InstanceType::as_str) == Some(instance_type))
            .ok_or_else(|| {
                Error::new(
                    ErrorName::Defect,
                    format!("{DESCRIBE_TYPES}: the answer does not tell of {instance_type}"),
                )
            })?;
        let disks = found.instance_storage_info().map_or_else(Vec::new, nvme_disks);
        self.kept().insert(instance_type.to_owned(), disks.clone());
        Ok(disks)
    }

    async fn instance(&self, instance: &InstanceId) -> Result<Option<Ec2Instance>> {
        let answer = match self
            .client
            .describe_instances()
            .instance_ids(instance.as_str())
            .send()
            .await
        {
            Ok(answer) => answer,
            Err(error) if error.code().is_some_and(|code| UNKNOWN_INSTANCE.contains(&code)) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(DESCRIBE_INSTANCES, &error)),
        };
        answer
            .reservations()
            .iter()
            .flat_map(Reservation::instances)
            .find(|found| found.instance_id() == Some(instance.as_str()))
            .map(seen)
            .transpose()
    }

    async fn with_private_dns_names(&self, names: &[String]) -> Result<Vec<(String, InstanceId)>> {
        let mut found = Vec::new();
        for some in names.chunks(NAMES_A_CALL) {
            let filter = Filter::builder().name(NAME_FILTER);
            let mut pages = self
                .client
                .describe_instances()
                .filters(filter.set_values(Some(some.to_vec())).build())
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| classify(DESCRIBE_INSTANCES, &error))?;
                for instance in page.reservations().iter().flat_map(Reservation::instances) {
                    let name = some
                        .iter()
                        .find(|name| instance.private_dns_name() == Some(name.as_str()));
                    if let (Some(name), Some(id)) = (name, instance.instance_id()) {
                        found.push((name.clone(), InstanceId::parse(id)?));
                    }
                }
            }
        }
        Ok(found)
    }
}

impl LaunchTemplates for Ec2 {
    async fn instance_type(&self, id: &str, version: &str) -> Result<Option<String>> {
        let answer = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(id)
            .versions(version)
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_TEMPLATES, &error))?;
        let found = answer.launch_template_versions().first();
        let instance_type = found
            .and_then(|found| found.launch_template_data())
            .and_then(|data| data.instance_type());
        Ok(instance_type.map(|instance_type| instance_type.as_str().to_owned()))
    }
}

fn seen(found: &Instance) -> Result<Ec2Instance> {
    let told = |value: Option<&str>, what| told(DESCRIBE_INSTANCES, value, what);
    Ok(Ec2Instance {
        state: told(
            found.state().and_then(|state| Some(state.name()?.as_str())),
            "State",
        )?,
        group: found
            .tags()
            .iter()
            .find(|tag| tag.key() == Some(GROUP_TAG))
            .and_then(|tag| Some(tag.value()?.to_owned())),
        zone: told(
            found
                .placement()
                .and_then(|placement| placement.availability_zone()),
            "Placement.AvailabilityZone",
        )?,
        instance_type: told(found.instance_type().map(InstanceType::as_str), "InstanceType")?,
        private_dns_name: set(found.private_dns_name()),
        private_address: set(found.private_ip_address()),
        ipv6_address: set(found.ipv6_address()),
    })
}

/// EC2 writes a name that an instance does not have any more as an empty one.
fn set(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The SSDs behind NVMe. Both must be asked for: the HDD families (d3, h1) call their disks NVMe too, and old families
/// (m3, c3) have SSDs that are not.
fn nvme_disks(storage: &InstanceStorageInfo) -> Vec<Disk> {
    let nvme = matches!(
        storage.nvme_support(),
        Some(EphemeralNvmeSupport::Required | EphemeralNvmeSupport::Supported)
    );
    storage
        .disks()
        .iter()
        .filter(|disk| nvme && disk.r#type() == Some(&DiskType::Ssd))
        .flat_map(|disk| {
            let count = usize::try_from(disk.count().unwrap_or_default()).unwrap_or_default();
            let size_gb = u32::try_from(disk.size_in_gb().unwrap_or_default()).unwrap_or_default();
            std::iter::repeat_n(Disk { size_gb }, count)
        })
        .collect()
}
