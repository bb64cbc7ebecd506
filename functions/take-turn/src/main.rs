//! Wires `take-turn` to the Lambda runtime.

use std::process::ExitCode;

use take_turn::TakeTurn;
use tidegate_domain::turn::Pace;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "take-turn";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        Ok(TakeTurn {
            groups: tidegate_aws::Groups::new(&aws),
            drains: tidegate_aws::ListedDrains::new(&aws),
            clock: SystemClock,
            pace: Pace {
                percent: settings.number("MAX_DRAINS_PERCENT")?,
                drain_limit_seconds: settings.number("DRAIN_LIMIT_SECONDS")?,
            },
        })
    })
    .await
}
