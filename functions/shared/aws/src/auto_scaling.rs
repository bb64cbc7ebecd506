use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, AutoScalingInstanceDetails, LifecycleHook, RetentionAction,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{AutoScaling, GroupHook, GroupSettings, Membership};
use tidegate_domain::subject::InstanceId;

use crate::errors::{classify, incomplete, told};

const DESCRIBE_INSTANCES: &str = "autoscaling:DescribeAutoScalingInstances";
/// Instances that a call may name.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html>
const INSTANCES_A_CALL: usize = 50;
const DESCRIBE_HOOKS: &str = "autoscaling:DescribeLifecycleHooks";
const DESCRIBE_GROUPS: &str = "autoscaling:DescribeAutoScalingGroups";

/// Auto Scaling by its API.
#[derive(Clone, Debug)]
pub struct Groups {
    client: Client,
}

impl Groups {
    /// Auto Scaling in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self {
            client: Client::new(configuration),
        }
    }
}

impl From<Client> for Groups {
    fn from(client: Client) -> Self {
        Self { client }
    }
}

impl AutoScaling for Groups {
    async fn membership(&self, instance: &InstanceId) -> Result<Option<Membership>> {
        let mut found = self.memberships(std::slice::from_ref(instance)).await?;
        Ok(found.remove(instance))
    }

    async fn memberships(&self, instances: &[InstanceId]) -> Result<BTreeMap<InstanceId, Membership>> {
        let mut memberships = BTreeMap::new();
        for some in instances.chunks(INSTANCES_A_CALL) {
            let answer = self
                .client
                .describe_auto_scaling_instances()
                .set_instance_ids(Some(some.iter().map(ToString::to_string).collect()))
                .send()
                .await
                .map_err(|error| classify(DESCRIBE_INSTANCES, &error))?;
            for found in answer.auto_scaling_instances() {
                let asked = some.iter().find(|id| found.instance_id() == Some(id.as_str()));
                if let Some(instance) = asked {
                    memberships.insert(instance.clone(), membership(found)?);
                }
            }
        }
        Ok(memberships)
    }

    async fn hooks(&self, group: &str) -> Result<Vec<GroupHook>> {
        self.client
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(group)
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_HOOKS, &error))?
            .lifecycle_hooks()
            .iter()
            .map(hook)
            .collect()
    }

    async fn settings(&self, group: &str) -> Result<Option<GroupSettings>> {
        let answer = self
            .client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(group)
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_GROUPS, &error))?;
        let mut groups = answer.auto_scaling_groups().iter();
        groups
            .find(|found| found.auto_scaling_group_name() == Some(group))
            .map(settings)
            .transpose()
    }
}

fn settings(group: &AutoScalingGroup) -> Result<GroupSettings> {
    let size = |value: Option<i32>, what| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| incomplete(DESCRIBE_GROUPS, what))
    };
    let triggers = group
        .instance_lifecycle_policy()
        .and_then(|policy| policy.retention_triggers());
    let suspended = group.suspended_processes().iter();
    Ok(GroupSettings {
        retains: triggers
            .is_some_and(|triggers| triggers.terminate_hook_abandon() == Some(&RetentionAction::Retain)),
        min_size: size(group.min_size(), "MinSize")?,
        desired_capacity: size(group.desired_capacity(), "DesiredCapacity")?,
        suspended: suspended
            .filter_map(|process| process.process_name().map(ToOwned::to_owned))
            .collect(),
    })
}

fn membership(found: &AutoScalingInstanceDetails) -> Result<Membership> {
    let told = |value, what| told(DESCRIBE_INSTANCES, value, what);
    Ok(Membership {
        group: told(found.auto_scaling_group_name(), "AutoScalingGroupName")?,
        zone: told(found.availability_zone(), "AvailabilityZone")?,
        instance_type: told(found.instance_type(), "InstanceType")?,
        lifecycle_state: told(found.lifecycle_state(), "LifecycleState")?,
    })
}

fn hook(hook: &LifecycleHook) -> Result<GroupHook> {
    let told = |value, what| told(DESCRIBE_HOOKS, value, what);
    let seconds = |value: Option<i32>, what| {
        value
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| incomplete(DESCRIBE_HOOKS, what))
    };
    Ok(GroupHook {
        name: told(hook.lifecycle_hook_name(), "LifecycleHookName")?,
        transition: told(hook.lifecycle_transition(), "LifecycleTransition")?,
        heartbeat_seconds: seconds(hook.heartbeat_timeout(), "HeartbeatTimeout")?,
        global_seconds: seconds(hook.global_timeout(), "GlobalTimeout")?,
        default_result: told(hook.default_result(), "DefaultResult")?,
    })
}
