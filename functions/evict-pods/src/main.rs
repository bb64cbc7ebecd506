//! Wires `evict-pods` to the Lambda runtime.

use std::process::ExitCode;

use evict_pods::EvictPods;
use tidegate_domain::evict::Patience;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "evict-pods";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |settings, cluster| {
            Ok(EvictPods {
                cluster,
                clock: SystemClock,
                watch_seconds: settings.number("WATCH_SECONDS")?,
                patience: Patience {
                    limit_seconds: settings.number("EVICT_LIMIT_SECONDS")?,
                    announced_limit_seconds: settings.number("ANNOUNCED_EVICT_LIMIT_SECONDS")?,
                    drain_limit_seconds: settings.number("DRAIN_LIMIT_SECONDS")?,
                },
            })
        })
    })
    .await
}
