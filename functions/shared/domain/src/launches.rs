//! Whether a launch that failed is abandoned, so that its group launches another instance: not after some that failed
//! alike, as the next would fail too, and each costs money.
//!
//! The evidence is what earlier executions of node-join ended with. It is read when a launch has failed, so a launch that
//! succeeds costs nothing more.

// The functions run on one thread and never hand these futures to another.
#![allow(async_fn_in_trait)]

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::subject::InstanceId;

/// Executions that are looked into at the most. Three usually decide.
pub const MOST_LOOKED_INTO: usize = 50;

/// What a launch has in common with others that fail like it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The step at which it failed: the node never came, its disks are wrong, or its worker cannot use them.
    pub step: String,
    /// The launch template of the instance with its version; none where its group has none.
    #[serde(default)]
    pub launch_template: Option<String>,
}

/// What an execution of node-join ended with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedJoin {
    /// `outcome` of its output.
    #[serde(default)]
    pub outcome: String,
    /// The instance.
    #[serde(default)]
    pub instance_id: Option<InstanceId>,
    /// Its group.
    #[serde(default)]
    pub auto_scaling_group: Option<String>,
    /// How its launch failed, where it was abandoned for that.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// An execution of node-join that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJoin {
    /// Its ARN.
    pub arn: String,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// The executions of node-join.
pub trait EndedJoins {
    /// Those of the state machine with that ARN that succeeded, the newest first, at most that many.
    async fn ended_joins(&self, machine: &str, most: usize) -> Result<Vec<ListedJoin>>;
    /// What one ended with; none where Step Functions knows it no more, or its output says nothing.
    async fn ended_join(&self, arn: &str) -> Result<Option<EndedJoin>>;
}

/// What instances were launched from.
pub trait LaunchTemplates {
    /// The launch template of an instance with its version, as Auto Scaling knows it; none where there is none.
    async fn launch_template(&self, instance: &InstanceId) -> Result<Option<String>>;
}

/// When launches are no longer abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After so many that failed alike,
    pub launches: u32,
    /// within so many seconds, none of them followed by a launch that joined.
    pub seconds: u32,
}

impl Patience {
    /// Whether a launch that ended then still counts.
    #[must_use]
    pub fn counts(self, ended_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(ended_at) <= SignedDuration::from_secs(self.seconds.into())
    }
}

/// What becomes of a launch that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is abandoned: the group launches another instance.
    Abandon,
    /// The instance is kept, and why.
    Keep(String),
}

/// The launches of a group before one that failed, counted from the newest on.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    patience: Patience,
    group: &'a str,
    failure: &'a Failure,
    alike: Vec<String>,
}

impl<'a> Tally<'a> {
    /// A tally for a launch of that group that failed so.
    #[must_use]
    pub const fn new(patience: Patience, group: &'a str, failure: &'a Failure) -> Self {
        Self {
            patience,
            group,
            failure,
            alike: Vec::new(),
        }
    }

    /// Counts one more; the verdict as soon as it is certain.
    pub fn add(&mut self, join: &EndedJoin) -> Option<Verdict> {
        if join.auto_scaling_group.as_deref() != Some(self.group) {
            return None;
        }
        if join.outcome == "joined" {
            return Some(Verdict::Abandon);
        }
        if join.outcome == "abandoned" && join.failure.as_ref() == Some(self.failure) {
            let instance = join.instance_id.as_ref().map(ToString::to_string);
            self.alike
                .push(instance.unwrap_or_else(|| "an instance".to_owned()));
        }
        let count = u32::try_from(self.alike.len()).unwrap_or(u32::MAX);
        (count >= self.patience.launches).then(|| Verdict::Keep(self.in_common()))
    }

    fn in_common(&self) -> String {
        let template = match &self.failure.launch_template {
            Some(template) => format!("launch template {template}"),
            None => "no launch template".to_owned(),
        };
        let what = match self.failure.step.as_str() {
            "LabelNode" => "none of their instances became a node",
            "ProvisionVolumes" => "the disks of each are missing or wrong",
            "ScheduleWorker" => "the worker of each cannot use its disks",
            step => {
                return format!(
                    "the launches before failed at {step} too ({})",
                    self.alike.join(", ")
                );
            }
        };
        format!(
            "the last {} launches of group {} ({template}) failed alike, {what}: {}; this instance is kept in service \
             behind its startup taint, so that the group launches no more of them: see to the cause, then end it",
            self.alike.len(),
            self.group,
            self.alike.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        launches: 3,
        seconds: 3_600,
    };

    fn failure() -> Failure {
        Failure {
            step: "ProvisionVolumes".into(),
            launch_template: Some("lt-1:7".into()),
        }
    }

    fn join(outcome: &str, number: u32) -> EndedJoin {
        EndedJoin {
            outcome: outcome.into(),
            instance_id: InstanceId::parse(&format!("i-{number:08x}")).ok(),
            auto_scaling_group: Some("nvme".into()),
            failure: (outcome == "abandoned").then(failure),
        }
    }

    fn judged(joins: &[EndedJoin]) -> Option<Verdict> {
        let failure = failure();
        let mut tally = Tally::new(PATIENCE, "nvme", &failure);
        joins.iter().find_map(|join| tally.add(join))
    }

    #[test]
    fn after_three_that_failed_alike_one_is_kept() {
        let failed: Vec<_> = (1..=3).map(|number| join("abandoned", number)).collect();
        assert_eq!(judged(&failed[..2]), None);
        let Some(Verdict::Keep(reason)) = judged(&failed) else {
            panic!("kept");
        };
        for part in [
            "3 launches of group nvme",
            "lt-1:7",
            "disks of each",
            "i-00000001, i-00000002, i-00000003",
        ] {
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn one_that_joined_shows_that_it_can_be_done() {
        let failed = |number| join("abandoned", number);
        let joins = [failed(1), failed(2), join("joined", 3), failed(4), failed(5)];
        assert_eq!(judged(&joins), Some(Verdict::Abandon));
    }

    #[test]
    fn what_failed_in_another_way_does_not_count() {
        let at_another_step = EndedJoin {
            failure: Some(Failure {
                step: "LabelNode".into(),
                ..failure()
            }),
            ..join("abandoned", 9)
        };
        let of_another_template = EndedJoin {
            failure: Some(Failure {
                launch_template: Some("lt-1:8".into()),
                ..failure()
            }),
            ..join("abandoned", 9)
        };
        let of_another_group = EndedJoin {
            auto_scaling_group: Some("other".into()),
            ..join("abandoned", 9)
        };
        let elsewhere_joined = EndedJoin {
            auto_scaling_group: Some("other".into()),
            ..join("joined", 9)
        };
        let gave_way = join("superseded", 9);
        for other in [
            at_another_step,
            of_another_template,
            of_another_group,
            elsewhere_joined,
            gave_way,
        ] {
            let joins = [join("abandoned", 1), join("abandoned", 2), other.clone()];
            assert_eq!(judged(&joins), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let now = Timestamp::from_second(10_000).expect("valid");
        let ended = |second| Timestamp::from_second(second).expect("valid");
        assert!(PATIENCE.counts(ended(6_400), now));
        assert!(!PATIENCE.counts(ended(6_399), now));
    }

    #[test]
    fn the_output_of_an_execution_is_evidence() {
        let output = r#"{"outcome": "abandoned", "reason": "x", "instanceId": "i-00000001", "autoScalingGroup": "nvme",
                         "failure": {"step": "LabelNode", "launchTemplate": null}, "seen": {}}"#;
        let read: EndedJoin = serde_json::from_str(output).expect("an output");
        let failure = Failure {
            step: "LabelNode".into(),
            launch_template: None,
        };
        assert_eq!(read.failure, Some(failure));
        let of_an_earlier_release = r#"{"outcome": "joined", "reason": "x", "instanceId": null, "seen": {}}"#;
        assert!(serde_json::from_str::<EndedJoin>(of_an_earlier_release).is_ok());
    }
}
