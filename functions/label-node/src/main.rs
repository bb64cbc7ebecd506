//! Wires `label-node` to the Lambda runtime.

use std::process::ExitCode;

use label_node::LabelNode;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "label-node";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |settings, cluster| {
            Ok(LabelNode {
                nodes: cluster,
                executions: tidegate_wiring::executions(),
                clock: SystemClock,
                watch_seconds: settings.number("WATCH_SECONDS")?,
                boot_seconds: settings.number("BOOT_SECONDS")?,
            })
        })
    })
    .await
}
