//! A test's own Auto Scaling group, made and changed by the calls that a user makes.

use super::{World, eventually};
use aws_sdk_autoscaling::error::SdkError;
use aws_sdk_autoscaling::operation::create_auto_scaling_group::CreateAutoScalingGroupError;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, AutoScalingInstanceDetails, InstanceLifecyclePolicy, LaunchTemplateSpecification,
    RetentionAction, RetentionTriggers, Tag, TagDescription,
};

const LAUNCHING: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";
/// EKS names its node group by it, on the group and on its instances.
const NODE_GROUP_TAG: &str = "eks:nodegroup-name";

/// What a group is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The world has one for each type that tests use, under the type's name.
    pub(crate) launch_template: &'static str,
    /// Seconds; AWS takes 30 at the least.
    pub(crate) heartbeat: i32,
    pub(crate) retains: bool,
}

/// Two disks of 300 GB, retaining: what the demo shows.
pub(crate) const TWO_DISKS: Shape = Shape {
    launch_template: "m5d.4xlarge",
    heartbeat: 60,
    retains: true,
};

/// One disk of 300 GB.
pub(crate) const ONE_DISK: Shape = Shape {
    launch_template: "m5d.2xlarge",
    ..TWO_DISKS
};

/// Two disks of 300 GB that become one array at boot.
pub(crate) const ONE_ARRAY: Shape = Shape {
    launch_template: "m5d.4xlarge-array",
    ..TWO_DISKS
};

/// No instance store at all.
pub(crate) const WITHOUT_DISKS: Shape = Shape {
    launch_template: "m5.large",
    ..TWO_DISKS
};

/// A group of a test. Each test has a name of its own among those that the stack looks after.
pub(crate) struct Group {
    pub(crate) world: World,
    pub(crate) name: &'static str,
}

/// The group of the one node that no case ends.
const STAYING: &str = "case-stays";

impl Group {
    /// Makes the group, its hooks, and nothing in it yet.
    pub(crate) async fn make(name: &'static str, shape: Shape) -> Self {
        Self::create(name, shape).await.expect("CreateAutoScalingGroup")
    }

    /// The group that EKS has made for the node group of that name.
    pub(crate) async fn of_node_group(name: &str) -> Self {
        let world = World::connect().await;
        let found = world.autoscaling.describe_auto_scaling_groups().send().await;
        let found = found.expect("DescribeAutoScalingGroups");
        let is_its = |tag: &TagDescription| tag.key() == Some(NODE_GROUP_TAG) && tag.value() == Some(name);
        let mut groups = found.auto_scaling_groups().iter();
        let group = groups.find(|group| group.tags().iter().any(is_its));
        let made = group.and_then(|group| group.auto_scaling_group_name());
        let made = made
            .unwrap_or_else(|| panic!("EKS has made a group for {name}"))
            .to_owned();
        Self {
            world,
            name: String::leak(made),
        }
    }

    /// The lifecycle hooks of the group.
    pub(crate) async fn hooks(&self) -> Vec<String> {
        let found = self
            .world
            .autoscaling
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(self.name);
        let found = found.send().await.expect("DescribeLifecycleHooks");
        let mut names: Vec<_> = found
            .lifecycle_hooks()
            .iter()
            .filter_map(|hook| Some(hook.lifecycle_hook_name()?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Waits until there is a worker that no case ends: Alluxio reads through workers only, and a case that runs alone
    /// has ended its own. The first case that asks starts it, and it stays until the world ends.
    pub(crate) async fn wait_for_the_one_that_stays(world: &World) {
        match Self::create(STAYING, ONE_DISK).await {
            Ok(group) => group.scale_to(1).await,
            Err(error) if error.is_already_exists_fault() => {}
            Err(error) => panic!("CreateAutoScalingGroup {STAYING}: {error:?}"),
        }
        let group = Self {
            world: World::connect().await,
            name: STAYING,
        };
        let instance = group.in_service(1).await.remove(0);
        let (_, host) = world.node_address(&instance).await;
        eventually(60, &format!("worker {host} is in service"), async || {
            let hosts = world.worker_hosts("LIVE").await;
            if hosts.contains(&host) { Ok(()) } else { Err(hosts) }
        })
        .await;
    }

    async fn create(name: &'static str, shape: Shape) -> Result<Self, CreateAutoScalingGroupError> {
        let world = World::connect().await;
        let group = Self { world, name };
        let action = if shape.retains {
            RetentionAction::Retain
        } else {
            RetentionAction::Terminate
        };
        let triggers = RetentionTriggers::builder()
            .terminate_hook_abandon(action)
            .build();
        let mut create = group
            .world
            .autoscaling
            .create_auto_scaling_group()
            .auto_scaling_group_name(name)
            .launch_template(
                LaunchTemplateSpecification::builder()
                    .launch_template_name(shape.launch_template)
                    .version("$Latest")
                    .build(),
            )
            .min_size(0)
            .max_size(10)
            .desired_capacity(0)
            .vpc_zone_identifier(group.world.endpoints.subnets.join(","))
            .instance_lifecycle_policy(
                InstanceLifecyclePolicy::builder()
                    .retention_triggers(triggers)
                    .build(),
            );
        let cluster = &group.world.endpoints.cluster_name;
        let startup_taint = "k8s.io/cluster-autoscaler/node-template/taint/startup-taint.cluster-autoscaler.kubernetes.io/tidegate";
        for (key, value) in [
            (startup_taint.to_owned(), "joining:NoSchedule"),
            (format!("kubernetes.io/cluster/{cluster}"), "owned"),
            ("eks:cluster-name".to_owned(), cluster.as_str()),
            (NODE_GROUP_TAG.to_owned(), name),
        ] {
            create = create.tags(
                Tag::builder()
                    .key(key)
                    .value(value)
                    .propagate_at_launch(true)
                    .build(),
            );
        }
        create.send().await.map_err(SdkError::into_service_error)?;
        for (hook, transition) in [
            ("tidegate-node-join", LAUNCHING),
            ("tidegate-node-drain", TERMINATING),
        ] {
            group
                .world
                .autoscaling
                .put_lifecycle_hook()
                .auto_scaling_group_name(name)
                .lifecycle_hook_name(hook)
                .lifecycle_transition(transition)
                .heartbeat_timeout(shape.heartbeat)
                .default_result("ABANDON")
                .send()
                .await
                .expect("PutLifecycleHook");
        }
        Ok(group)
    }

    /// A group with that many nodes in service.
    pub(crate) async fn with_nodes(name: &'static str, shape: Shape, count: i32) -> Self {
        let group = Self::make(name, shape).await;
        group.scale_to(count).await;
        group.in_service(count).await;
        group
    }

    /// `aws autoscaling set-desired-capacity`.
    pub(crate) async fn scale_to(&self, capacity: i32) {
        self.world
            .autoscaling
            .set_desired_capacity()
            .auto_scaling_group_name(self.name)
            .desired_capacity(capacity)
            .honor_cooldown(false)
            .send()
            .await
            .expect("SetDesiredCapacity");
    }

    /// Ends one instance of the group, as Cluster Autoscaler does.
    pub(crate) async fn terminate(&self, instance: &str) {
        self.world
            .autoscaling
            .terminate_instance_in_auto_scaling_group()
            .instance_id(instance)
            .should_decrement_desired_capacity(true)
            .send()
            .await
            .expect("TerminateInstanceInAutoScalingGroup");
    }

    /// Sets the smallest number of instances that the group may have.
    pub(crate) async fn keep_at_least(&self, instances: i32) {
        self.world
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(self.name)
            .min_size(instances)
            .send()
            .await
            .expect("UpdateAutoScalingGroup");
    }

    /// How many instances the group is to have.
    pub(crate) async fn desired_capacity(&self) -> i32 {
        let answer = self
            .world
            .autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(self.name);
        let answer = answer.send().await.expect("DescribeAutoScalingGroups");
        let group = answer.auto_scaling_groups().first();
        group
            .and_then(AutoScalingGroup::desired_capacity)
            .expect("a desired capacity")
    }

    /// Each instance of the group with its lifecycle state.
    pub(crate) async fn instances(&self) -> Vec<(String, String)> {
        let answer = self
            .world
            .autoscaling
            .describe_auto_scaling_instances()
            .send()
            .await;
        answer
            .expect("DescribeAutoScalingInstances")
            .auto_scaling_instances()
            .iter()
            .filter(|instance| instance.auto_scaling_group_name() == Some(self.name))
            .map(|instance: &AutoScalingInstanceDetails| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                (text(instance.instance_id()), text(instance.lifecycle_state()))
            })
            .collect()
    }

    /// The lifecycle state of one instance; none where it is gone.
    pub(crate) async fn state(&self, instance: &str) -> Option<String> {
        self.instances()
            .await
            .into_iter()
            .find(|(id, _)| id == instance)
            .map(|(_, state)| state)
    }

    /// Waits until that many instances are in service, and answers their ids.
    pub(crate) async fn in_service(&self, count: i32) -> Vec<String> {
        eventually(
            240,
            &format!("{count} instances of {} in service", self.name),
            async || {
                let instances = self.instances().await;
                let ids: Vec<_> = instances
                    .iter()
                    .filter(|(_, state)| state == "InService")
                    .map(|(id, _)| id.clone())
                    .collect();
                if ids.len() == usize::try_from(count).expect("small") {
                    Ok(ids)
                } else {
                    Err(instances)
                }
            },
        )
        .await
    }

    /// Waits until an instance is in that state.
    pub(crate) async fn reaches(&self, instance: &str, state: &str, seconds: u64) {
        eventually(seconds, &format!("{instance} is {state}"), async || {
            match self.state(instance).await {
                Some(found) if found == state => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// Waits until an instance has left its group.
    pub(crate) async fn has_left(&self, instance: &str, seconds: u64) {
        eventually(seconds, &format!("{instance} has left"), async || {
            match self.state(instance).await {
                None => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// Waits until the group has an instance in that state, and answers it.
    pub(crate) async fn one_in(&self, state: &str, seconds: u64) -> String {
        eventually(
            seconds,
            &format!("an instance of {} is {state}", self.name),
            async || {
                let instances = self.instances().await;
                instances
                    .iter()
                    .find(|(_, found)| found == state)
                    .map(|(id, _)| id.clone())
                    .ok_or(instances)
            },
        )
        .await
    }

    /// Status and cause texts of the group's scaling activities, newest first.
    pub(crate) async fn activities(&self) -> Vec<String> {
        let answer = self
            .world
            .autoscaling
            .describe_scaling_activities()
            .auto_scaling_group_name(self.name)
            .send()
            .await;
        answer
            .expect("DescribeScalingActivities")
            .activities()
            .iter()
            .map(|activity| {
                let status = activity.status_code().map_or("", |code| code.as_str());
                format!(
                    "{status}: {} {}",
                    activity.description().unwrap_or_default(),
                    activity.status_message().unwrap_or_default()
                )
            })
            .collect()
    }

    /// Ends everything of the group at once, whatever its hooks say.
    pub(crate) async fn delete(&self) {
        let deleted = self
            .world
            .autoscaling
            .delete_auto_scaling_group()
            .auto_scaling_group_name(self.name)
            .force_delete(true);
        deleted.send().await.expect("DeleteAutoScalingGroup");
    }
}

impl Group {
    /// Tags the group so that instances launched from now on carry that tag.
    pub(crate) async fn tag(&self, key: &str, value: &str) {
        let tag = Tag::builder()
            .resource_id(self.name)
            .resource_type("auto-scaling-group")
            .key(key)
            .value(value);
        let tag = tag.propagate_at_launch(true).build();
        self.world
            .autoscaling
            .create_or_update_tags()
            .tags(tag)
            .send()
            .await
            .expect("CreateOrUpdateTags");
    }

    /// Takes that tag off the group; what has been launched keeps it.
    pub(crate) async fn untag(&self, key: &str) {
        let tag = Tag::builder()
            .resource_id(self.name)
            .resource_type("auto-scaling-group")
            .key(key);
        self.world
            .autoscaling
            .delete_tags()
            .tags(tag.build())
            .send()
            .await
            .expect("DeleteTags");
    }
}
