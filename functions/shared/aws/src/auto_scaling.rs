use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, AutoScalingInstanceDetails, LifecycleHook, LifecycleState, RetentionAction,
};
use tidegate_domain::error::Result;
use tidegate_domain::launches::LaunchTemplates;
use tidegate_domain::ports::{AutoScaling, GroupHook, GroupSettings, Membership};
use tidegate_domain::resolve::leaves;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::turn::{GroupSize, GroupSizes};

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

    /// The group of that name; none where there is none (any more).
    async fn group(&self, name: &str) -> Result<Option<AutoScalingGroup>> {
        let answer = self
            .client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(name)
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_GROUPS, &error))?;
        let mut found = answer.auto_scaling_groups.unwrap_or_default().into_iter();
        Ok(found.find(|found| found.auto_scaling_group_name() == Some(name)))
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
        self.group(group).await?.as_ref().map(settings).transpose()
    }
}

impl LaunchTemplates for Groups {
    async fn launch_template(&self, instance: &InstanceId) -> Result<Option<String>> {
        let answer = self
            .client
            .describe_auto_scaling_instances()
            .instance_ids(instance.as_str())
            .send()
            .await
            .map_err(|error| classify(DESCRIBE_INSTANCES, &error))?;
        let mut found = answer.auto_scaling_instances().iter();
        let found = found.find(|found| found.instance_id() == Some(instance.as_str()));
        Ok(found.and_then(|found| {
            let template = found.launch_template()?;
            let id = template.launch_template_id()?;
            Some(format!("{id}:{}", template.version().unwrap_or("?")))
        }))
    }
}

impl GroupSizes for Groups {
    async fn group_size(&self, group: &str) -> Result<GroupSize> {
        let Some(found) = self.group(group).await? else {
            return Ok(GroupSize::default());
        };
        let desired = found
            .desired_capacity()
            .and_then(|desired| usize::try_from(desired).ok());
        Ok(GroupSize {
            desired: desired.ok_or_else(|| incomplete(DESCRIBE_GROUPS, "DesiredCapacity"))?,
            members: members(&found)?,
        })
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
        rebalances: group.capacity_rebalance().unwrap_or_default(),
        leaving: members(group)?
            .into_iter()
            .filter(|(_, state)| leaves(state))
            .map(|(instance, _)| instance)
            .collect(),
    })
}

/// The instances of a group, each with its lifecycle state.
fn members(group: &AutoScalingGroup) -> Result<Vec<(InstanceId, String)>> {
    let told = |value, what| told(DESCRIBE_GROUPS, value, what);
    let members = group.instances().iter();
    members
        .map(|member| {
            let instance = InstanceId::parse(&told(member.instance_id(), "InstanceId")?)?;
            let state = member.lifecycle_state().map(LifecycleState::as_str);
            Ok((instance, told(state, "LifecycleState")?))
        })
        .collect()
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
