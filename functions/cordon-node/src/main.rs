//! Wires `cordon-node` to the Lambda runtime.

use std::process::ExitCode;

use cordon_node::CordonNode;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "cordon-node";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |_, cluster| {
            Ok(CordonNode {
                nodes: cluster,
                executions: tidegate_wiring::executions(),
                clock: SystemClock,
            })
        })
    })
    .await
}
