//! Executions of the state machines, for the drift check.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_domain::drift::{Attempt, ExecutionsView, FailedExecution, Memory, RunningExecution, Subjects};
use tidegate_domain::error::Result;
use tidegate_domain::resolve::Direction;
use tidegate_domain::subject::InstanceId;

use crate::errors::{classify, incomplete};

const LIST: &str = "states:ListExecutions";
const DESCRIBE: &str = "states:DescribeExecution";
const START: &str = "states:StartExecution";
/// Executions of one answer.
const PAGE: i32 = 1_000;
/// An execution that fails now began so long ago at the most: `TimeoutSeconds` of the state machines.
const LONGEST_EXECUTION: SignedDuration = SignedDuration::from_hours(49);
/// Failed executions whose error is asked for.
const MOST_EXPLAINED: usize = 20;
/// Checks whose output is asked for what they left behind.
const MOST_REMEMBERED: i32 = 5;

/// The ARNs of the state machines.
#[derive(Clone, Debug)]
pub struct Machines {
    /// node-join.
    pub join: String,
    /// node-drain.
    pub drain: String,
    /// drift-check itself.
    pub check: String,
}

/// Step Functions by its API.
#[derive(Clone, Debug)]
pub struct StepFunctions {
    client: Client,
    machines: Machines,
}

impl StepFunctions {
    /// Step Functions in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig, machines: Machines) -> Self {
        Self {
            client: Client::new(configuration),
            machines,
        }
    }

    fn machine(&self, direction: Direction) -> &str {
        match direction {
            Direction::Join => &self.machines.join,
            Direction::Drain => &self.machines.drain,
        }
    }

    /// The executions of a machine in a state that are worth keeping, the newest first, as long as they began late
    /// enough.
    async fn list<T>(
        &self,
        machine: &str,
        status: &ExecutionStatus,
        from: Option<Timestamp>,
        keep: impl Fn(&ExecutionListItem) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut pages = self
            .client
            .list_executions()
            .state_machine_arn(machine)
            .status_filter(status.clone())
            .max_results(PAGE)
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| classify(LIST, &error))?;
            if from.is_some_and(|from| time(item.start_date()).is_some_and(|began| began < from)) {
                break;
            }
            found.extend(keep(&item));
        }
        Ok(found)
    }
}

impl ExecutionsView for StepFunctions {
    async fn running(&self) -> Result<Vec<RunningExecution>> {
        let mut running = Vec::new();
        for direction in [Direction::Join, Direction::Drain] {
            let found = self
                .list(self.machine(direction), &ExecutionStatus::Running, None, |item| {
                    Some(RunningExecution {
                        arn: item.execution_arn().to_owned(),
                        name: item.name().to_owned(),
                        direction,
                        subjects: None,
                    })
                })
                .await?;
            running.extend(found);
        }
        Ok(running)
    }

    async fn subjects(&self, arn: &str) -> Result<Option<Subjects>> {
        let answer = self.client.describe_execution().execution_arn(arn).send().await;
        match answer {
            Ok(answer) => Ok(Some(subjects(answer.input().unwrap_or_default()))),
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => Ok(None),
            Err(error) => Err(classify(DESCRIBE, &error)),
        }
    }

    async fn failed_since(&self, since: Timestamp) -> Result<Vec<FailedExecution>> {
        let mut failed = Vec::new();
        for machine in [&self.machines.join, &self.machines.drain, &self.machines.check] {
            for status in [
                ExecutionStatus::Failed,
                ExecutionStatus::TimedOut,
                ExecutionStatus::Aborted,
            ] {
                let found = self
                    .list(machine, &status, Some(since - LONGEST_EXECUTION), |item| {
                        let ended_at = item.stop_date().and_then(time)?;
                        (ended_at >= since).then(|| FailedExecution {
                            arn: item.execution_arn().to_owned(),
                            status: status.as_str().to_owned(),
                            ended_at,
                            why: None,
                        })
                    })
                    .await?;
                failed.extend(found);
            }
        }
        for execution in failed.iter_mut().take(MOST_EXPLAINED) {
            let answer = self
                .client
                .describe_execution()
                .execution_arn(&execution.arn)
                .send()
                .await
                .map_err(|error| classify(DESCRIBE, &error))?;
            let said: Vec<_> = [answer.error(), answer.cause()].into_iter().flatten().collect();
            execution.why = (!said.is_empty()).then(|| said.join(": "));
        }
        Ok(failed)
    }

    async fn memory(&self) -> Result<Memory> {
        let answer = self
            .client
            .list_executions()
            .state_machine_arn(&self.machines.check)
            .status_filter(ExecutionStatus::Succeeded)
            .max_results(MOST_REMEMBERED)
            .send()
            .await
            .map_err(|error| classify(LIST, &error))?;
        for item in answer.executions() {
            let answer = self
                .client
                .describe_execution()
                .execution_arn(item.execution_arn())
                .send()
                .await
                .map_err(|error| classify(DESCRIBE, &error))?;
            let output: Value = serde_json::from_str(answer.output().unwrap_or_default()).unwrap_or_default();
            // One of another release may have left something else behind.
            if let Ok(memory) = serde_json::from_value(output["memory"].clone()) {
                return Ok(memory);
            }
        }
        Ok(Memory::default())
    }

    async fn attempt(&self, direction: Direction, name: &str) -> Result<Option<Attempt>> {
        let arn = execution_arn(self.machine(direction), name)?;
        let answer = self.client.describe_execution().execution_arn(arn).send().await;
        match answer {
            Ok(answer) => Ok(Some(Attempt {
                status: answer.status().as_str().to_owned(),
                ended_at: answer.stop_date().and_then(time),
            })),
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => Ok(None),
            Err(error) => Err(classify(DESCRIBE, &error)),
        }
    }

    async fn start(&self, direction: Direction, name: &str, input: &Value) -> Result<bool> {
        let answer = self
            .client
            .start_execution()
            .state_machine_arn(self.machine(direction))
            .name(name)
            .input(input.to_string())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(false),
            Err(error) => Err(classify(START, &error)),
        }
    }
}

fn time(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.to_millis().ok()?).ok()
}

/// `arn:aws:states:REGION:ACCOUNT:stateMachine:NAME` and an execution's name.
fn execution_arn(machine: &str, name: &str) -> Result<String> {
    let mut parts: Vec<_> = machine.split(':').collect();
    match parts.get_mut(5) {
        Some(kind) if *kind == "stateMachine" => *kind = "execution",
        _ => return Err(incomplete("the settings", "the ARN of a state machine")),
    }
    Ok(format!("{}:{name}", parts.join(":")))
}

/// Whatever in an input is an instance id, wherever it stands, and what a person named as nodes.
fn subjects(input: &str) -> Subjects {
    let mut subjects = Subjects::default();
    let value: Value = serde_json::from_str(input).unwrap_or_default();
    collect(&value, &mut subjects);
    for field in ["nodeName", "nodeNames"] {
        match &value[field] {
            Value::String(name) => subjects.nodes.push(name.clone()),
            Value::Array(names) => subjects
                .nodes
                .extend(names.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    subjects
}

fn collect(value: &Value, subjects: &mut Subjects) {
    match value {
        Value::String(text) if InstanceId::parse(text).is_ok() => subjects.instances.push(text.clone()),
        // A body within a body, as SQS and SNS wrap it.
        Value::String(text) if text.starts_with('{') => {
            if let Ok(inner) = serde_json::from_str(text) {
                collect(&inner, subjects);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, subjects)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, subjects)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tidegate_domain::error::ErrorName;

    use super::*;

    #[test]
    fn an_execution_is_named_below_its_machine() {
        let arn = execution_arn(
            "arn:aws:states:us-west-2:123456789012:stateMachine:tidegate-node-drain",
            "n",
        );
        assert_eq!(
            arn.as_deref(),
            Ok("arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:n")
        );
        assert_eq!(
            execution_arn("tidegate-node-drain", "n")
                .expect_err("no ARN")
                .name,
            ErrorName::Defect
        );
    }

    #[test]
    fn an_input_names_its_instances_wherever_they_stand() {
        const ID: &str = "i-0123456789abcdef0";
        for input in [
            format!(r#"{{"instanceId": "{ID}"}}"#),
            format!(r#"{{"instanceIds": ["{ID}"]}}"#),
            format!(r#"{{"source": "aws.autoscaling", "detail": {{"EC2InstanceId": "{ID}"}}}}"#),
            format!(r#"{{"Message": "{{\"EC2InstanceId\": \"{ID}\"}}"}}"#),
        ] {
            assert_eq!(subjects(&input).instances, [ID], "{input}");
        }
        assert_eq!(subjects(r#"{"nodeName": "n"}"#).nodes, ["n"]);
        assert_eq!(subjects(r#"{"nodeNames": ["a", "b"]}"#).nodes, ["a", "b"]);
        assert_eq!(subjects("not JSON"), Subjects::default());
    }
}
