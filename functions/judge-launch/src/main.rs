//! Wires `judge-launch` to the Lambda runtime.

use std::process::ExitCode;

use judge_launch::JudgeLaunch;
use tidegate_domain::launches::Patience;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "judge-launch";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        Ok(JudgeLaunch {
            templates: tidegate_aws::Groups::new(&aws),
            joins: tidegate_aws::JoinHistory::new(&aws),
            clock: SystemClock,
            patience: Patience {
                launches: settings.number("MOST_FAILED_LAUNCHES")?,
                seconds: settings.number("FAILED_LAUNCHES_SECONDS")?,
            },
        })
    })
    .await
}
