use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::SdkError;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;
use tidegate_domain::error::Result;
use tidegate_domain::ports::{Executions, Run};

use crate::configuration::configuration;
use crate::errors::classify;

const DESCRIBE_EXECUTION: &str = "states:DescribeExecution";

/// Where executions stand, by the API of Step Functions.
#[derive(Clone, Debug)]
pub struct RunningExecutions {
    client: Option<Client>,
}

impl RunningExecutions {
    /// Those in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self {
            client: Some(Client::new(configuration)),
        }
    }

    /// Those of the region that the environment names, which is read only when something is asked: for functions that
    /// seldom ask, and whose start need not wait for it.
    #[must_use]
    pub const fn on_demand() -> Self {
        Self { client: None }
    }
}

impl Executions for RunningExecutions {
    async fn run(&self, execution: &str) -> Result<Run> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => Client::new(&configuration().await),
        };
        let answer = client.describe_execution().execution_arn(execution).send().await;
        match answer {
            // One that is to be redriven will run again.
            Ok(found) => Ok(match found.status() {
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Run::Running,
                ExecutionStatus::Succeeded => {
                    found.output().and_then(outcome).map_or(Run::Over, Run::Succeeded)
                }
                _ => Run::Over,
            }),
            Err(SdkError::ServiceError(error)) if error.err().is_execution_does_not_exist() => Ok(Run::Over),
            Err(error) => Err(classify(DESCRIBE_EXECUTION, &error)),
        }
    }
}

/// The outcome in the output of an execution of ours.
fn outcome(output: &str) -> Option<String> {
    let output: Value = serde_json::from_str(output).ok()?;
    Some(output.get("outcome")?.as_str()?.to_owned())
}
