use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use tidegate_domain::error::Result;
use tidegate_domain::turn::{RunningDrain, RunningDrains};

use crate::errors::{classify, incomplete};

const LIST: &str = "states:ListExecutions";
/// Executions of one answer: the most that Step Functions gives.
const PAGE: i32 = 1_000;

/// Which executions of a state machine run, by the API of Step Functions.
#[derive(Clone, Debug)]
pub struct ListedDrains {
    client: Client,
}

impl ListedDrains {
    /// Those in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig) -> Self {
        Self {
            client: Client::new(configuration),
        }
    }
}

impl RunningDrains for ListedDrains {
    async fn running_drains(&self, machine: &str) -> Result<Vec<RunningDrain>> {
        let mut items = self
            .client
            .list_executions()
            .state_machine_arn(machine)
            .status_filter(ExecutionStatus::Running)
            .max_results(PAGE)
            .into_paginator()
            .items()
            .send();
        let mut running = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| classify(LIST, &error))?;
            let started_at = item.start_date().to_millis().ok();
            running.push(RunningDrain {
                name: item.name().to_owned(),
                started_at: started_at
                    .and_then(|millis| Timestamp::from_millisecond(millis).ok())
                    .ok_or_else(|| incomplete(LIST, "startDate"))?,
            });
        }
        Ok(running)
    }
}
