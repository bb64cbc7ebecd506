//! Wires `schedule-worker` to the Lambda runtime.

use std::process::ExitCode;

use schedule_worker::ScheduleWorker;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "schedule-worker";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        tidegate_wiring::in_cluster(FUNCTION, settings, |settings, cluster| {
            Ok(ScheduleWorker {
                master: tidegate_wiring::alluxio_master(settings, &cluster)?,
                cluster,
                clock: SystemClock,
                watch_seconds: settings.number("WATCH_SECONDS")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
            })
        })
    })
    .await
}
