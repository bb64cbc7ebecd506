use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::SdkError;
use aws_sdk_sfn::types::ExecutionStatus;
use tidegate_domain::error::Result;
use tidegate_domain::ports::Executions;

use crate::configuration::configuration;
use crate::errors::classify;

const DESCRIBE_EXECUTION: &str = "states:DescribeExecution";

/// Which executions are running, by the API of Step Functions.
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
    async fn running(&self, execution: &str) -> Result<bool> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => Client::new(&configuration().await),
        };
        let answer = client.describe_execution().execution_arn(execution).send().await;
        match answer {
            // One that is to be redriven will run again.
            Ok(found) => Ok(matches!(
                found.status(),
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive
            )),
            Err(SdkError::ServiceError(error)) if error.err().is_execution_does_not_exist() => Ok(false),
            Err(error) => Err(classify(DESCRIBE_EXECUTION, &error)),
        }
    }
}
