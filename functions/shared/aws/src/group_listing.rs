//! Groups as a whole, for the drift check and for setting a cluster up, and the settings of theirs that both set right.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, InstanceLifecyclePolicy, LaunchTemplateSpecification, LifecycleState, RetentionAction,
    RetentionTriggers,
};
use tidegate_domain::bootstrap::{GroupTypes, TypeSource};
use tidegate_domain::drift::{Group, GroupsView, LifecycleActions, Member, WaitingHook};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{AutoScaling, GroupHook};

use crate::auto_scaling::Groups;
use crate::errors::{classify, told};

const DESCRIBE_GROUPS: &str = "autoscaling:DescribeAutoScalingGroups";
/// Groups that a call may name.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html>
const GROUPS_A_CALL: usize = 50;
const HEARTBEAT: &str = "autoscaling:RecordLifecycleActionHeartbeat";
/// Begins the message of a `ValidationError`: the hook was completed, has run out, or never waited.
const NOTHING_WAITS: &str = "No active Lifecycle Action";
const PUT_HOOK: &str = "autoscaling:PutLifecycleHook";
const UPDATE_GROUP: &str = "autoscaling:UpdateAutoScalingGroup";

/// Auto Scaling by its API, group by group.
#[derive(Clone, Debug)]
pub struct GroupListing {
    client: Client,
    groups: Groups,
    array_groups: Vec<String>,
}

impl GroupListing {
    /// Auto Scaling in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self {
            client: Client::new(configuration),
            groups: Groups::new(configuration),
            array_groups: Vec::new(),
        }
    }

    /// With these groups as the ones whose instances set their disks up as one array: Auto Scaling knows nothing of it.
    #[must_use]
    pub fn with_array_groups(self, array_groups: Vec<String>) -> Self {
        Self { array_groups, ..self }
    }
}

impl GroupListing {
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    async fn described(&self, names: &[String]) -> Result<Vec<AutoScalingGroup>> {
        let mut found = Vec::new();
        for some in names.chunks(GROUPS_A_CALL) {
            let mut pages = self
                .client
                .describe_auto_scaling_groups()
                .set_auto_scaling_group_names(Some(some.to_vec()))
                .into_paginator()
                .items()
                .send();
            while let Some(group) = pages.next().await {
                found.push(group.map_err(|error| classify(DESCRIBE_GROUPS, &error))?);
            }
        }
        Ok(found)
    }
}

impl GroupTypes for GroupListing {
    async fn launched_types(&self, groups: &[String]) -> Result<BTreeMap<String, Vec<TypeSource>>> {
        let found = self.described(groups).await?;
        found
            .iter()
            .map(|group| {
                let name = told(
                    DESCRIBE_GROUPS,
                    group.auto_scaling_group_name(),
                    "AutoScalingGroupName",
                )?;
                Ok((name, launched(group)))
            })
            .collect()
    }
}

/// Types that a mixed group names win over those of its launch templates, as they do at a launch.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateOverrides.html>
fn launched(group: &AutoScalingGroup) -> Vec<TypeSource> {
    let mixed = group
        .mixed_instances_policy()
        .and_then(|policy| policy.launch_template());
    let Some(mixed) = mixed else {
        return group
            .launch_template()
            .and_then(of_template)
            .into_iter()
            .collect();
    };
    let base = mixed.launch_template_specification();
    if mixed.overrides().is_empty() {
        return base.and_then(of_template).into_iter().collect();
    }
    let overrides = mixed.overrides().iter();
    overrides
        .filter(|one| one.instance_requirements().is_none())
        .filter_map(|one| match one.instance_type() {
            Some(instance_type) => Some(TypeSource::Type(instance_type.to_owned())),
            None => one.launch_template_specification().or(base).and_then(of_template),
        })
        .collect()
}

fn of_template(specification: &LaunchTemplateSpecification) -> Option<TypeSource> {
    Some(TypeSource::LaunchTemplate {
        id: specification.launch_template_id()?.to_owned(),
        version: specification.version().unwrap_or("$Default").to_owned(),
    })
}

impl LifecycleActions for GroupListing {
    async fn waits(&self, hook: &WaitingHook, instance: &str) -> Result<bool> {
        let answer = self
            .client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(&hook.group)
            .lifecycle_hook_name(&hook.name)
            .instance_id(instance)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .message()
                    .is_some_and(|message| message.contains(NOTHING_WAITS)) =>
            {
                Ok(false)
            }
            Err(error) => Err(classify(HEARTBEAT, &error)),
        }
    }
}

impl GroupsView for GroupListing {
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>> {
        let described = self.described(names).await?;
        let mut found: Vec<_> = described.iter().map(view).collect::<Result<_>>()?;
        for group in &mut found {
            group.one_array = self.array_groups.contains(&group.name);
            group.hooks = self.groups.hooks(&group.name).await?;
        }
        for name in names {
            if !found.iter().any(|group| group.name == *name) {
                found.push(Group {
                    name: name.clone(),
                    ..Group::default()
                });
            }
        }
        Ok(found)
    }

    async fn put_hook(&self, group: &str, hook: &GroupHook) -> Result<()> {
        let seconds = i32::try_from(hook.heartbeat_seconds).map_err(|_| {
            Error::new(
                ErrorName::Defect,
                format!("a heartbeat of {} s", hook.heartbeat_seconds),
            )
        })?;
        self.client
            .put_lifecycle_hook()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(&hook.name)
            .lifecycle_transition(&hook.transition)
            .heartbeat_timeout(seconds)
            .default_result(&hook.default_result)
            .send()
            .await
            .map_err(|error| classify(PUT_HOOK, &error))?;
        Ok(())
    }

    async fn retain(&self, group: &str) -> Result<()> {
        let triggers = RetentionTriggers::builder()
            .terminate_hook_abandon(RetentionAction::Retain)
            .build();
        self.client
            .update_auto_scaling_group()
            .auto_scaling_group_name(group)
            .instance_lifecycle_policy(
                InstanceLifecyclePolicy::builder()
                    .retention_triggers(triggers)
                    .build(),
            )
            .send()
            .await
            .map_err(|error| classify(UPDATE_GROUP, &error))?;
        Ok(())
    }
}

fn view(group: &AutoScalingGroup) -> Result<Group> {
    let told = |value, what| told(DESCRIBE_GROUPS, value, what);
    let members = group.instances().iter().map(|instance| {
        Ok(Member {
            instance: told(instance.instance_id(), "InstanceId")?,
            instance_type: told(instance.instance_type(), "InstanceType")?,
            lifecycle_state: told(
                instance.lifecycle_state().map(LifecycleState::as_str),
                "LifecycleState",
            )?,
        })
    });
    Ok(Group {
        name: told(group.auto_scaling_group_name(), "AutoScalingGroupName")?,
        exists: true,
        one_array: false,
        retains: group
            .instance_lifecycle_policy()
            .and_then(InstanceLifecyclePolicy::retention_triggers)
            .is_some_and(|triggers| triggers.terminate_hook_abandon() == Some(&RetentionAction::Retain)),
        hooks: Vec::new(),
        members: members.collect::<Result<_>>()?,
    })
}
