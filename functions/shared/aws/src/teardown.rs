//! What taking a cluster away asks of Auto Scaling and Step Functions.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use tidegate_domain::destroy::{GroupHooks, OwnExecutions};
use tidegate_domain::error::Result;

use crate::errors::classify;
use crate::group_listing::GroupListing;

const DELETE_HOOK: &str = "autoscaling:DeleteLifecycleHook";
const LIST: &str = "states:ListExecutions";
/// Executions that are told of a machine: whoever waits for them asks again.
const MOST: i32 = 20;

impl GroupHooks for GroupListing {
    /// A hook, or a group, that is not there is a `ValidationError`.
    async fn delete_hook(&self, group: &str, hook: &str) -> Result<()> {
        let answer = self
            .client()
            .delete_lifecycle_hook()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ValidationError") => Ok(()),
            Err(error) => Err(classify(DELETE_HOOK, &error)),
        }
    }
}

/// State machines of ours, by their ARNs.
#[derive(Clone, Debug)]
pub struct OtherMachines {
    client: Client,
    machines: Vec<String>,
}

impl OtherMachines {
    /// Those machines, in the region of that configuration.
    #[must_use]
    pub fn new(configuration: &SdkConfig, machines: Vec<String>) -> Self {
        Self {
            client: Client::new(configuration),
            machines,
        }
    }
}

impl OwnExecutions for OtherMachines {
    async fn running(&self) -> Result<Vec<String>> {
        let mut running = Vec::new();
        for machine in &self.machines {
            let answer = self
                .client
                .list_executions()
                .state_machine_arn(machine)
                .status_filter(ExecutionStatus::Running)
                .max_results(MOST)
                .send()
                .await
                .map_err(|error| classify(LIST, &error))?;
            running.extend(
                answer
                    .executions()
                    .iter()
                    .map(|one| one.execution_arn().to_owned()),
            );
        }
        Ok(running)
    }
}
