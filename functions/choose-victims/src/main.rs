//! Wires `choose-victims` to the Lambda runtime.

use std::process::ExitCode;

use choose_victims::ChooseVictims;
use tidegate_lambda::{Settings, serve};

const FUNCTION: &str = "choose-victims";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let connect = async || {
            let settings = Settings::from_environment();
            let cluster = tidegate_wiring::cluster(FUNCTION, &settings).await?;
            let master = tidegate_wiring::alluxio_master(&settings, &cluster)?;
            Ok((cluster, master))
        };
        let function = ChooseVictims::new(connect);
        Box::pin(function.warm_up()).await;
        Ok(function)
    })
    .await
}
