//! The one node that an execution is about, as `resolve-node` found it and as every later state receives it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::disks::{Disk, DiskLayout};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::ports::Ec2Instance;

/// An EC2 instance id: `i-` and 8 or 17 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// Reads an instance id.
    ///
    /// # Errors
    /// `InvalidInput` that names the value, where it is not an instance id.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("i-").unwrap_or_default();
        let hexadecimal = digits
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if matches!(digits.len(), 8 | 17) && hexadecimal {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(
                "instanceId",
                format_args!("{text:?}"),
                "an EC2 instance id (i- and 8 or 17 lower-case hexadecimal digits)",
            ))
        }
    }

    /// The id as AWS spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a node's `spec.providerID` names this instance. Both spellings are in use:
    /// `aws:///<zone>/<id>`, and `aws:////<id>` where the zone is left out.
    #[must_use]
    pub fn matches_provider_id(&self, provider_id: &str) -> bool {
        let Some(path) = provider_id.strip_prefix("aws:///") else {
            return false;
        };
        path.rsplit_once('/')
            .is_some_and(|(zone, id)| id == self.0 && !zone.contains('/'))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A lifecycle hook of ours that waits for this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// `LifecycleHookName`.
    pub name: String,
    /// Seconds until the hook gives up without a heartbeat.
    pub heartbeat_seconds: u32,
    /// Seconds until the hook gives up whatever is told to it.
    pub global_seconds: u32,
    /// `CONTINUE` or `ABANDON`.
    pub default_result: String,
}

/// What an instance is called, and where it is. Nothing of it is known to an execution of an earlier release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// The state of the instance, as EC2 spells it; none where EC2 does not know the instance, or was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_state: Option<String>,
    /// The name of its Node object. EKS names a node by the private DNS name of its instance, so that is the name until
    /// a step has found the Node object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The UID of its Node object, from the step on that has found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// Its primary private IPv4 address by EC2. An instance that has terminated has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_address: Option<String>,
    /// Its IPv6 address by EC2, under which the worker of a cluster with IPv6 registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
}

impl From<&Ec2Instance> for Identity {
    fn from(instance: &Ec2Instance) -> Self {
        Self {
            instance_state: Some(instance.state.clone()),
            node_name: instance.private_dns_name.clone(),
            node_uid: None,
            private_address: instance.private_address.clone(),
            ipv6_address: instance.ipv6_address.clone(),
        }
    }
}

/// The node that an execution is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its group.
    pub auto_scaling_group: String,
    /// Its zone, such as `us-west-2a`.
    pub availability_zone: String,
    /// Its type, such as `m5d.4xlarge`.
    pub instance_type: String,
    /// Its lifecycle state when it was looked up, as Auto Scaling spells it.
    pub lifecycle_state: String,
    /// The instance-store NVMe disks of its type; where they are set up as an array, that is the one disk.
    pub disks: Vec<Disk>,
    /// Whether its group sets them up as an array.
    #[serde(default)]
    pub one_array: bool,
    /// The name of that set of disks.
    pub disk_layout: DiskLayout,
    /// The hook that this execution completes; none where nothing waits.
    pub hook: Option<Hook>,
    /// Whether the group keeps an instance whose terminate hook is abandoned
    /// (`InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon` is `retain`).
    pub retains: bool,
    /// What tells it from all others, to EC2, to Kubernetes and to Alluxio.
    #[serde(flatten)]
    pub identity: Identity,
}

impl Subject {
    /// The same with the Node object that a step has found: later steps get it by its name.
    #[must_use]
    pub fn with_node(&self, node: &Node) -> Self {
        let mut found = self.clone();
        found.identity.node_name = Some(node.name.clone());
        found.identity.node_uid = Some(node.uid.clone());
        found
    }

    /// Whether that Node object stands for this instance. Only the provider id says so: a name and an address are used
    /// again, and a label can be copied.
    #[must_use]
    pub fn is(&self, node: &Node) -> bool {
        self.instance_id.matches_provider_id(&node.provider_id)
    }

    /// The addresses that EC2 knows of the instance.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        [&self.identity.private_address, &self.identity.ipv6_address]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Whether EC2 says that the instance has terminated: nothing runs on it any more, and its address may be another
    /// instance's.
    #[must_use]
    pub fn terminated(&self) -> bool {
        self.identity.instance_state.as_deref() == Some("terminated")
    }

    /// Whether the instance is being launched: its Node object may not be there yet, and nobody has labelled it.
    #[must_use]
    pub fn launching(&self) -> bool {
        let state = self.lifecycle_state.as_str();
        state
            .strip_prefix("Warmed:")
            .unwrap_or(state)
            .starts_with("Pending")
    }

    /// Whether the instance ends, whatever any execution does.
    #[must_use]
    pub fn ends(&self) -> bool {
        let by_group = matches!(
            self.lifecycle_state.as_str(),
            "Terminating" | "Terminating:Proceed" | "Terminated"
        );
        by_group
            || matches!(
                self.identity.instance_state.as_deref(),
                Some("shutting-down" | "terminated")
            )
    }

    /// Whether its group keeps it, as its drain could not save everything.
    #[must_use]
    pub fn retained(&self) -> bool {
        self.lifecycle_state == "Terminating:Retained"
    }

    /// That the instance has no Node object, and on what evidence.
    #[must_use]
    pub fn no_node(&self) -> String {
        let by_name = match &self.identity.node_name {
            Some(name) => format!("neither {name} nor any other"),
            None => "none".to_owned(),
        };
        let by_ec2 = match &self.identity.instance_state {
            Some(state) => format!("EC2 says that the instance is {state}"),
            None => "EC2 does not tell of the instance".to_owned(),
        };
        format!(
            "instance {} has no Node object ({by_name} has its provider id; {by_ec2})",
            self.instance_id
        )
    }
}

impl Subject {
    /// Whether the group keeps the instance when its terminate hook runs out: Auto Scaling then takes the hook's default
    /// result, and a group that retains keeps what is abandoned.
    #[must_use]
    pub fn kept_when_hook_runs_out(&self) -> bool {
        let abandons = |hook: &Hook| hook.default_result == "ABANDON";
        self.retains && self.hook.as_ref().is_some_and(abandons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_has_8_or_17_hexadecimal_digits() {
        for good in ["i-0123abcd", "i-0123456789abcdef0"] {
            assert_eq!(InstanceId::parse(good).map(String::from).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "i-",
            "i-0123456789ABCDEF0",
            "i-0123456789abcdefg",
            "0123abcd",
            "i-0123abcd ",
        ] {
            let error = InstanceId::parse(bad).expect_err(bad);
            assert!(error.message.contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn a_node_is_recognised_by_both_spellings_of_its_provider_id() {
        let id = InstanceId::parse("i-0123456789abcdef0").expect("valid");
        assert!(id.matches_provider_id("aws:///us-west-2a/i-0123456789abcdef0"));
        assert!(id.matches_provider_id("aws:////i-0123456789abcdef0"));
        assert!(!id.matches_provider_id("aws:///us-west-2a/i-0123456789abcdef1"));
        assert!(!id.matches_provider_id("gce:///us-west-2a/i-0123456789abcdef0"));
        assert!(!id.matches_provider_id("aws:///i-0123456789abcdef0/other"));
        assert!(!id.matches_provider_id(""));
    }

    fn subject(more: serde_json::Value) -> Subject {
        let mut subject = serde_json::json!({
            "instanceId": "i-0123456789abcdef0",
            "autoScalingGroup": "nvme-nodes",
            "availabilityZone": "us-west-2a",
            "instanceType": "m5d.4xlarge",
            "lifecycleState": "InService",
            "disks": [],
            "diskLayout": "none",
            "hook": null,
            "retains": false,
        });
        if let (Some(fields), serde_json::Value::Object(more)) = (subject.as_object_mut(), more) {
            fields.extend(more);
        }
        serde_json::from_value(subject).expect("a subject")
    }

    #[test]
    fn an_execution_of_an_earlier_release_is_read() {
        let subject = subject(serde_json::json!({}));
        assert_eq!(
            (
                subject.identity.node_name.as_ref(),
                subject.identity.node_uid.as_ref()
            ),
            (None, None)
        );
        assert_eq!(subject.addresses().count(), 0);
        assert!(!subject.terminated() && !subject.ends());
        let written = serde_json::to_value(&subject).expect("JSON");
        assert!(written.get("nodeName").is_none(), "{written}");
    }

    #[test]
    fn only_the_provider_id_makes_a_node_the_instances() {
        let subject = subject(serde_json::json!({ "nodeName": "ip-10-0-0-7.ec2.internal" }));
        let named = Node {
            name: "ip-10-0-0-7.ec2.internal".into(),
            provider_id: "aws:///us-west-2a/i-0fedcba9876543210".into(),
            ..Node::default()
        };
        assert!(!subject.is(&named));
        let ours = Node {
            name: "worker-7".into(),
            uid: "uid-7".into(),
            provider_id: "aws:///us-west-2a/i-0123456789abcdef0".into(),
            ..Node::default()
        };
        assert!(subject.is(&ours));
        let found = subject.with_node(&ours);
        assert_eq!(found.identity.node_name.as_deref(), Some("worker-7"));
        assert_eq!(found.identity.node_uid.as_deref(), Some("uid-7"));
    }

    #[test]
    fn an_absent_node_is_told_with_its_evidence() {
        let known = subject(serde_json::json!({ "nodeName": "ip-10-0-0-7", "instanceState": "running" }));
        assert_eq!(
            known.no_node(),
            "instance i-0123456789abcdef0 has no Node object (neither ip-10-0-0-7 nor any other has its provider id; EC2 \
             says that the instance is running)"
        );
        let unknown = subject(serde_json::json!({}));
        assert!(
            unknown
                .no_node()
                .ends_with("(none has its provider id; EC2 does not tell of the instance)")
        );
    }

    #[test]
    fn an_instance_ends_by_its_group_or_by_ec2() {
        for (state, ec2, ends) in [
            ("InService", "running", false),
            ("Terminating:Wait", "running", false),
            ("Terminating:Retained", "running", false),
            ("Terminating:Proceed", "running", true),
            ("Terminated", "shutting-down", true),
            ("InService", "shutting-down", true),
        ] {
            let subject = subject(serde_json::json!({ "lifecycleState": state, "instanceState": ec2 }));
            assert_eq!(subject.ends(), ends, "{state}, {ec2}");
        }
    }
}
