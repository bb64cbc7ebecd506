//! Wires `drain-cache` to the Lambda runtime.

use std::process::ExitCode;

use drain_cache::DrainCache;
use tidegate_alluxio::AlluxioWorkers;
use tidegate_domain::cache::IdleWait;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "drain-cache";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |settings, cluster| {
            Ok(DrainCache {
                master: tidegate_wiring::alluxio_master(settings, &cluster)?,
                cluster,
                workers: AlluxioWorkers::default(),
                clock: SystemClock,
                watch_seconds: settings.number("WATCH_SECONDS")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
                idle_wait: IdleWait {
                    refresh_seconds: settings.number("WORKER_LIST_REFRESH_SECONDS")?,
                    limit_seconds: settings.number("IDLE_LIMIT_SECONDS")?,
                },
            })
        })
    })
    .await
}
