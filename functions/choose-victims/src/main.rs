//! Wires `choose-victims` to the Lambda runtime.

use std::process::ExitCode;

use choose_victims::ChooseVictims;
use tidegate_lambda::{Settings, serve};

const FUNCTION: &str = "choose-victims";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let master = tidegate_wiring::alluxio_master(&Settings::from_environment())?;
        let connect = async || {
            let settings = Settings::from_environment();
            tidegate_wiring::cluster(FUNCTION, &settings).await
        };
        let function = ChooseVictims::new(connect, master);
        Box::pin(function.warm_up()).await;
        Ok(function)
    })
    .await
}
