//! The executions of the state machines.

use std::fs;
use std::time::Duration;

use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;

use super::{World, eventually, place};

/// A state machine of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    Join,
    Drain,
    Check,
    Bootstrap,
    Destroy,
}

impl Machine {
    const fn name(self) -> &'static str {
        match self {
            Self::Join => "tidegate-node-join",
            Self::Drain => "tidegate-node-drain",
            Self::Check => "tidegate-drift-check",
            Self::Bootstrap => "tidegate-cluster-bootstrap",
            Self::Destroy => "tidegate-cluster-destroy",
        }
    }
}

/// How an execution ended.
// Fields that no case compares are there for the message of one that fails.
#[allow(dead_code)]
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) arn: String,
    pub(crate) status: String,
    /// Its input, as it was sent.
    pub(crate) input: String,
    /// Its output, where it succeeded.
    pub(crate) output: Value,
    /// Its error, where it failed.
    pub(crate) error: String,
    /// The error's cause, where it failed.
    pub(crate) cause: String,
}

impl Execution {
    pub(crate) fn outcome(&self) -> &str {
        self.output["outcome"].as_str().unwrap_or(&self.error)
    }

    pub(crate) fn reason(&self) -> &str {
        self.output["reason"].as_str().unwrap_or(&self.cause)
    }

    /// Fails unless it ended with that outcome.
    pub(crate) fn expect(&self, outcome: &str) -> &Self {
        assert_eq!(self.outcome(), outcome, "{self:#?}");
        self
    }

    /// What a function answered last.
    pub(crate) fn seen(&self, function: &str) -> &Value {
        &self.output["seen"][function]
    }
}

impl World {
    /// The ARN of a state machine.
    pub(crate) fn arn(&self, machine: Machine) -> String {
        let region = &self.endpoints.region;
        format!(
            "arn:aws:states:{region}:123456789012:stateMachine:{}",
            machine.name()
        )
    }

    /// `aws stepfunctions start-execution`; answers the ARN, or what Step Functions refuses it with.
    pub(crate) async fn start(&self, machine: Machine, input: &str) -> Result<String, String> {
        let arn = self.arn(machine);
        match self
            .sfn
            .start_execution()
            .state_machine_arn(arn)
            .input(input)
            .send()
            .await
        {
            Ok(started) => Ok(started.execution_arn().to_owned()),
            Err(error) => Err(error.code().unwrap_or_default().to_owned()),
        }
    }

    /// Starts an execution by hand and waits for its end.
    pub(crate) async fn run(&self, machine: Machine, input: &Value, seconds: u64) -> Execution {
        let arn = self
            .start(machine, &input.to_string())
            .await
            .expect("StartExecution");
        self.ended(&arn, seconds).await
    }

    /// Stops an execution, as a person does.
    pub(crate) async fn stop(&self, arn: &str) {
        let stopped = self.sfn.stop_execution().execution_arn(arn).send().await;
        stopped.expect("StopExecution");
    }

    /// Waits for the end of an execution.
    pub(crate) async fn ended(&self, arn: &str, seconds: u64) -> Execution {
        eventually(seconds, &format!("the end of {arn}"), async || {
            let answer = self
                .sfn
                .describe_execution()
                .execution_arn(arn)
                .send()
                .await
                .expect("DescribeExecution");
            if *answer.status() == ExecutionStatus::Running {
                return Err("RUNNING");
            }
            let output = answer
                .output()
                .map(|text| serde_json::from_str(text).expect("JSON"))
                .unwrap_or_default();
            Ok(Execution {
                arn: arn.to_owned(),
                status: answer.status().as_str().to_owned(),
                input: answer.input().unwrap_or_default().to_owned(),
                output,
                error: answer.error().unwrap_or_default().to_owned(),
                cause: answer.cause().unwrap_or_default().to_owned(),
            })
        })
        .await
    }

    /// All executions of a machine, in no order.
    pub(crate) async fn all(&self, machine: Machine) -> Vec<String> {
        let mut pages = self
            .sfn
            .list_executions()
            .state_machine_arn(self.arn(machine))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            found.push(item.expect("ListExecutions").execution_arn().to_owned());
        }
        found
    }

    /// The executions of a machine whose input names that instance, oldest first.
    pub(crate) async fn executions_for(&self, machine: Machine, instance: &str) -> Vec<String> {
        let mut found = Vec::new();
        for arn in self.all(machine).await {
            let answer = self
                .sfn
                .describe_execution()
                .execution_arn(&arn)
                .send()
                .await
                .expect("DescribeExecution");
            if answer.input().unwrap_or_default().contains(instance) {
                found.push((*answer.start_date(), arn));
            }
        }
        found.sort();
        found.into_iter().map(|(_, arn)| arn).collect()
    }

    /// The states that an execution entered, in order.
    pub(crate) async fn states_of(&self, arn: &str) -> Vec<String> {
        let mut pages = self
            .sfn
            .get_execution_history()
            .execution_arn(arn)
            .into_paginator()
            .items()
            .send();
        let mut states = Vec::new();
        while let Some(event) = pages.next().await {
            let event = event.expect("GetExecutionHistory");
            let entered = event.state_entered_event_details();
            states.extend(entered.map(|details| details.name().to_owned()));
        }
        states
    }

    /// Waits for the end of the first execution that an event started for that instance.
    pub(crate) async fn ended_for(&self, machine: Machine, instance: &str, seconds: u64) -> Execution {
        let first = eventually(
            20,
            &format!("a {machine:?} execution for {instance}"),
            async || {
                self.executions_for(machine, instance)
                    .await
                    .into_iter()
                    .next()
                    .ok_or("none")
            },
        )
        .await;
        self.ended(&first, seconds).await
    }

    /// Lets time pass in which something must not happen.
    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// What an execution told on the bus in the end.
    pub(crate) fn told(execution: &Execution) -> Value {
        let events = fs::read_to_string(place("events.jsonl")).expect("the world's events");
        // Of the line that is being written only a part may be there.
        let whole = events.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut outcomes = whole
            .lines()
            .filter(|line| line.contains(&execution.arn) && line.contains(" Outcome\""))
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).expect("an event");
                line["event"]["detail"].take()
            });
        outcomes
            .find(|detail| detail["execution"] == *execution.arn)
            .expect("an outcome event")
    }
}
