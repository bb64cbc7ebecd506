//! EC2 instances and the disks of their types.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{DiskType, EphemeralNvmeSupport, InstanceStorageInfo, InstanceType};
use tidegate_aws::classify;
use tidegate_domain::disks::Disk;
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::Instances;
use tidegate_domain::subject::InstanceId;

const DESCRIBE_TYPES: &str = "ec2:DescribeInstanceTypes";
const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";
/// EC2 does not know the instance: it ended over an hour ago, belongs to another account, or never was. "Malformed" is
/// its word for an id that it cannot have given to anything.
const UNKNOWN_INSTANCE: [&str; 2] = ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"];

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

    async fn state(&self, instance: &InstanceId) -> Result<Option<String>> {
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
        Ok(answer
            .reservations()
            .iter()
            .flat_map(aws_sdk_ec2::types::Reservation::instances)
            .find(|found| found.instance_id() == Some(instance.as_str()))
            .and_then(|found| Some(found.state()?.name()?.as_str().to_owned())))
    }
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
