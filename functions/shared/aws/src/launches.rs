use aws_config::SdkConfig;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use tidegate_domain::error::Result;
use tidegate_domain::launches::{EndedJoin, EndedJoins, ListedJoin};

use crate::errors::{classify, incomplete};

const LIST: &str = "states:ListExecutions";
const DESCRIBE: &str = "states:DescribeExecution";

/// What executions of node-join ended with, by the API of Step Functions.
#[derive(Clone, Debug)]
pub struct JoinHistory {
    client: Client,
}

impl JoinHistory {
    /// That of the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self {
            client: Client::new(configuration),
        }
    }
}

impl EndedJoins for JoinHistory {
    async fn ended_joins(&self, machine: &str, most: usize) -> Result<Vec<ListedJoin>> {
        let answer = self
            .client
            .list_executions()
            .state_machine_arn(machine)
            .status_filter(ExecutionStatus::Succeeded)
            .max_results(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| classify(LIST, &error))?;
        let listed = answer.executions().iter().map(|item| {
            let ended_at = item
                .stop_date()
                .and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok());
            Ok(ListedJoin {
                arn: item.execution_arn().to_owned(),
                ended_at: ended_at.ok_or_else(|| incomplete(LIST, "stopDate"))?,
            })
        });
        listed.collect()
    }

    async fn ended_join(&self, arn: &str) -> Result<Option<EndedJoin>> {
        let answer = self.client.describe_execution().execution_arn(arn).send().await;
        match answer {
            // An execution of another release may have left another output.
            Ok(answer) => Ok(answer
                .output()
                .and_then(|output| serde_json::from_str(output).ok())),
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => Ok(None),
            Err(error) => Err(classify(DESCRIBE, &error)),
        }
    }
}
