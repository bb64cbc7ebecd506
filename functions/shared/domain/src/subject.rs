//! The one node that an execution is about, as `resolve-node` found it and as every later state receives it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::disks::{Disk, DiskLayout};
use crate::error::{Error, Result};

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
}
