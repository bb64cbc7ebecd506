//! Wires `check-drift` to the Lambda runtime.

use std::process::ExitCode;

use check_drift::CheckDrift;
use tidegate_aws::Machines;
use tidegate_domain::drift::{Budget, Scope};
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "check-drift";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        let machines = Machines {
            join: settings.text("NODE_JOIN_ARN")?,
            drain: settings.text("NODE_DRAIN_ARN")?,
            check: settings.text("DRIFT_CHECK_ARN")?,
        };
        let cluster = tidegate_wiring::cluster(FUNCTION, &settings).await?;
        Ok(CheckDrift {
            groups: tidegate_aws::GroupListing::new(&aws)
                .with_array_groups(settings.optional_list("ARRAY_GROUPS")?),
            instances: tidegate_ec2::Ec2::new(&aws),
            machines: tidegate_aws::StepFunctions::new(&aws, machines),
            master: tidegate_wiring::alluxio_master(&settings, &cluster)?,
            cluster,
            clock: SystemClock,
            scope: Scope {
                join_hook: settings.text("JOIN_HOOK_NAME")?,
                drain_hook: settings.text("DRAIN_HOOK_NAME")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
            },
            budget: Budget {
                percent: settings.number("MAX_REPAIRS_PERCENT")?,
                settle_seconds: settings.number("SETTLE_SECONDS")?,
            },
            group_names: settings.list("AUTO_SCALING_GROUPS")?,
            rule_names: settings.list("RULE_NAMES")?,
            cluster_name: settings.text("CLUSTER_NAME")?,
        })
    })
    .await
}
