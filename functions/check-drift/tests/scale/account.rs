//! AWS and Alluxio as they are when nothing of theirs differs.

use jiff::Timestamp;
use serde_json::Value;
use tidegate_domain::cache::{Worker, WorkerState};
use tidegate_domain::disks::{Disk, expected_cache_bytes};
use tidegate_domain::drift::{
    Attempt, ExecutionsView, FailedExecution, Group, GroupsView, LifecycleActions, Member, Memory,
    RunningExecution, Subjects, WaitingHook, Workers, WorkersView,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{Changed, Ec2Instance, GroupHook, Instances};
use tidegate_domain::resolve::Direction;
use tidegate_domain::subject::InstanceId;

use crate::NODES;
use crate::objects::{address, instance};

const DISKS: [Disk; 2] = [Disk { size_gb: 300 }; 2];

pub(crate) struct Account;

impl LifecycleActions for Account {
    async fn waits(&self, _: &WaitingHook, _: &str) -> Result<bool> {
        Ok(true)
    }
}

impl GroupsView for Account {
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>> {
        let hook = |name: &str, direction: Direction, default_result: &str| GroupHook {
            name: name.into(),
            transition: direction.transition().into(),
            heartbeat_seconds: 1_800,
            global_seconds: 172_800,
            default_result: default_result.into(),
        };
        Ok(vec![Group {
            name: names[0].clone(),
            exists: true,
            one_array: false,
            retains: true,
            hooks: vec![
                hook("tidegate-node-join", Direction::Join, "CONTINUE"),
                hook("tidegate-node-drain", Direction::Drain, "ABANDON"),
            ],
            members: (0..NODES)
                .map(|number| Member {
                    instance: instance(number),
                    instance_type: "m5d.4xlarge".into(),
                    lifecycle_state: "InService".into(),
                })
                .collect(),
        }])
    }

    async fn put_hook(&self, _: &str, _: &GroupHook) -> Result<()> {
        Ok(())
    }

    async fn retain(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

impl Instances for Account {
    async fn local_disks(&self, _: &str) -> Result<Vec<Disk>> {
        Ok(DISKS.to_vec())
    }

    async fn instance(&self, _: &InstanceId) -> Result<Option<Ec2Instance>> {
        Ok(None)
    }

    async fn with_private_dns_names(&self, _: &[String]) -> Result<Vec<(String, InstanceId)>> {
        Ok(Vec::new())
    }
}

impl WorkersView for Account {
    async fn workers(&self) -> Result<Workers> {
        let worker = |number| Worker {
            host: address(number),
            address: address(number),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: expected_cache_bytes(&DISKS),
            used_bytes: 0,
            last_contact_seconds: 0,
        };
        Ok(Workers {
            all: (0..NODES).map(worker).collect(),
            ..Workers::default()
        })
    }

    async fn forget(&self, _: &Worker) -> Result<Changed> {
        Ok(Changed::Done)
    }
}

impl ExecutionsView for Account {
    async fn running(&self) -> Result<Vec<RunningExecution>> {
        Ok(Vec::new())
    }

    async fn subjects(&self, _: &str) -> Result<Option<Subjects>> {
        Ok(None)
    }

    async fn failed_since(&self, _: Timestamp) -> Result<Vec<FailedExecution>> {
        Ok(Vec::new())
    }

    async fn memory(&self) -> Result<Memory> {
        Ok(Memory::default())
    }

    async fn attempt(&self, _: Direction, _: &str) -> Result<Option<Attempt>> {
        Ok(None)
    }

    async fn start(&self, _: Direction, _: &str, _: &Value) -> Result<bool> {
        Ok(true)
    }
}
