//! Wires `provision-volumes` to the Lambda runtime.

use std::process::ExitCode;

use provision_volumes::ProvisionVolumes;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "provision-volumes";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |settings, cluster| {
            Ok(ProvisionVolumes {
                cluster,
                clock: SystemClock,
                watch_seconds: settings.number("WATCH_SECONDS")?,
                publish_limit_seconds: settings.number("PUBLISH_LIMIT_SECONDS")?,
            })
        })
    })
    .await
}
