//! What an AWS account shows `resolve-node`, which runs here as it is, and the inputs that an execution gets.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::disks::Disk;
use tidegate_domain::error::{Error, Result};
use tidegate_domain::ports::{AutoScaling, Ec2Instance, GroupHook, GroupSettings, Instances, Membership};
use tidegate_domain::resolve::{Direction, Scope};
use tidegate_domain::subject::InstanceId;

/// The instance of every walk.
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
/// The name of its node.
pub(crate) const NODE: &str = "ip-192-168-0-1.us-west-2.compute.internal";
/// Its private address.
pub(crate) const ADDRESS: &str = "192.168.0.1";
/// Its group.
pub(crate) const GROUP: &str = "nvme-nodes";
/// Seconds that a join may take.
pub(crate) const JOIN_LIMIT: u32 = 1_800;
/// Seconds that a drain may take.
pub(crate) const DRAIN_LIMIT: u32 = 3_600;

/// What is configured.
pub(crate) fn scope() -> Scope {
    Scope {
        groups: vec![GROUP.to_owned()],
        array_groups: Vec::new(),
        memory_caches: false,
        join_hook: "tidegate-node-join".to_owned(),
        drain_hook: "tidegate-node-drain".to_owned(),
        join_limit_seconds: JOIN_LIMIT,
        drain_limit_seconds: DRAIN_LIMIT,
        announced_evict_limit_seconds: 12 * 3_600,
        drains_on_rebalance: true,
    }
}

/// Instances of one group, all alike.
#[derive(Clone)]
pub(crate) struct Account {
    /// What Auto Scaling says of each.
    pub(crate) membership: Option<Membership>,
    /// The group that EC2's tag names where Auto Scaling knows none.
    pub(crate) launched_by: Option<&'static str>,
    /// The hooks of its group.
    pub(crate) hooks: Vec<GroupHook>,
    /// Whether its group keeps an instance whose terminate hook is abandoned.
    pub(crate) retains: bool,
    /// The smallest number of instances that its group may have; it has three.
    pub(crate) min_size: u32,
    /// Whether its group replaces an instance by itself on a rebalance recommendation.
    pub(crate) rebalances: bool,
    /// The disks of its type.
    pub(crate) disks: Vec<Disk>,
    /// What AWS answers instead.
    pub(crate) trouble: Option<Error>,
}

impl Account {
    /// An instance with two disks in that lifecycle state.
    pub(crate) fn with_instance(lifecycle_state: &str) -> Self {
        let hook = |direction: Direction| GroupHook {
            name: scope().hook(direction).to_owned(),
            transition: direction.transition().to_owned(),
            heartbeat_seconds: 300,
            global_seconds: 30_000,
            default_result: "ABANDON".to_owned(),
        };
        Self {
            membership: Some(Membership {
                group: GROUP.to_owned(),
                zone: "us-west-2a".to_owned(),
                instance_type: "m5d.4xlarge".to_owned(),
                lifecycle_state: lifecycle_state.to_owned(),
            }),
            launched_by: None,
            hooks: vec![hook(Direction::Join), hook(Direction::Drain)],
            retains: false,
            min_size: 0,
            rebalances: false,
            disks: vec![Disk { size_gb: 300 }; 2],
            trouble: None,
        }
    }

    /// The same where the group's hooks give up so much later: Auto Scaling's global timeout is 48 hours or 100
    /// heartbeats.
    pub(crate) fn with_heartbeat(mut self, seconds: u32) -> Self {
        for hook in &mut self.hooks {
            hook.heartbeat_seconds = seconds;
            hook.global_seconds = (100 * seconds).min(172_800);
        }
        self
    }
}

impl AutoScaling for Account {
    async fn membership(&self, _: &InstanceId) -> Result<Option<Membership>> {
        match &self.trouble {
            Some(error) => Err(error.clone()),
            None => Ok(self.membership.clone()),
        }
    }

    async fn memberships(&self, instances: &[InstanceId]) -> Result<BTreeMap<InstanceId, Membership>> {
        let mut memberships = BTreeMap::new();
        for instance in instances {
            if let Some(membership) = self.membership(instance).await? {
                memberships.insert(instance.clone(), membership);
            }
        }
        Ok(memberships)
    }

    async fn hooks(&self, _: &str) -> Result<Vec<GroupHook>> {
        Ok(self.hooks.clone())
    }

    async fn settings(&self, _: &str) -> Result<Option<GroupSettings>> {
        Ok(Some(GroupSettings {
            retains: self.retains,
            min_size: self.min_size,
            desired_capacity: 3,
            rebalances: self.rebalances,
            ..GroupSettings::default()
        }))
    }
}

impl Instances for Account {
    async fn local_disks(&self, _: &str) -> Result<Vec<Disk>> {
        Ok(self.disks.clone())
    }

    async fn instance(&self, _: &InstanceId) -> Result<Option<Ec2Instance>> {
        let runs = self.membership.is_some();
        Ok(Some(Ec2Instance {
            state: if runs { "running" } else { "terminated" }.to_owned(),
            group: self.launched_by.map(ToOwned::to_owned),
            zone: "us-west-2a".to_owned(),
            instance_type: "m5d.4xlarge".to_owned(),
            private_dns_name: runs.then(|| NODE.to_owned()),
            private_address: runs.then(|| ADDRESS.to_owned()),
            ipv6_address: None,
        }))
    }

    async fn with_private_dns_names(&self, names: &[String]) -> Result<Vec<(String, InstanceId)>> {
        let ours = |name: &&String| name.as_str() == NODE;
        let found = names.iter().filter(ours);
        found
            .map(|name| Ok((name.clone(), InstanceId::parse(INSTANCE)?)))
            .collect()
    }
}

impl ApiServers for Account {
    async fn api_server(&self) -> Result<ApiServer> {
        Ok(ApiServer {
            endpoint: "https://api.example".to_owned(),
            certificate_authority: "-----BEGIN CERTIFICATE-----".to_owned(),
        })
    }
}

/// A lifecycle action's event for an instance of that group.
pub(crate) fn lifecycle_action(direction: Direction, group: &str) -> Value {
    let (kind, origin, destination) = match direction {
        Direction::Join => ("launch", "EC2", "AutoScalingGroup"),
        Direction::Drain => ("terminate", "AutoScalingGroup", "EC2"),
    };
    json!({
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": format!("EC2 Instance-{kind} Lifecycle Action"),
        "source": "aws.autoscaling",
        "account": "123456789012",
        "time": "2026-11-23T10:00:00Z",
        "region": "us-west-2",
        "resources": ["arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:1:autoScalingGroupName/nvme-nodes"],
        "detail": {
            "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
            "AutoScalingGroupName": group,
            "LifecycleHookName": scope().hook(direction),
            "EC2InstanceId": INSTANCE,
            "LifecycleTransition": direction.transition(),
            "Origin": origin,
            "Destination": destination,
        },
    })
}

/// What a person types.
pub(crate) fn by_hand() -> Value {
    json!({ "instanceId": INSTANCE })
}
