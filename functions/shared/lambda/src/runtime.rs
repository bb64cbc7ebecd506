use std::env;
use std::future::Future;
use std::process::ExitCode;
use std::time::Instant;

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tidegate_domain::error::Result;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::outcome_line::{Circumstances, outcome_line};
use crate::reply::Reply;

/// A function: answers one call of a state machine.
pub trait Serve {
    /// Answers a payload.
    fn serve(&self, payload: Value) -> impl Future<Output = Result<Reply>>;

    /// What the caller is sent of an answer: a state machine all of it. Who has a format of its own gets that; the log
    /// line has the answer.
    fn sent(&self, answer: Value) -> Value {
        answer
    }
}

/// Runs a function behind the Lambda runtime API until the process is ended.
///
/// `start` builds the function once for each process; where it fails, one sentence says why and the process ends,
/// which Lambda reports as an error of the initialisation.
pub async fn serve<F: Serve>(function: &'static str, start: impl AsyncFnOnce() -> Result<F>) -> ExitCode {
    // `Targets` reads the same directives as `EnvFilter` but those about spans, and brings no regular expressions.
    let logged: Targets = env::var("RUST_LOG")
        .ok()
        .and_then(|directives| directives.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().json().without_time())
        .with(logged)
        .init();
    let served = match start().await {
        Ok(served) => served,
        Err(error) => {
            println!(
                "{}",
                serde_json::json!({"level": "ERROR", "function": function, "error": error.name.as_str(), "reason": error.message})
            );
            return ExitCode::FAILURE;
        }
    };
    let namespace = env::var("METRICS_NAMESPACE").unwrap_or_else(|_| "Tidegate".to_owned());
    let (served, namespace) = (&served, namespace.as_str());
    let answered = lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let began = Instant::now();
        let retry_count = event.payload["retryCount"].as_u64().unwrap_or_default();
        let result = served.serve(event.payload).await;
        let circumstances = Circumstances {
            function,
            request_id: &event.context.request_id,
            retry_count,
            duration_millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            now: Timestamp::now(),
            namespace,
        };
        println!("{}", outcome_line(&circumstances, &result));
        result
            .map(|reply| served.sent(reply.answer))
            .map_err(|error| Diagnostic {
                error_type: error.name.as_str().to_owned(),
                error_message: error.message,
            })
    }))
    .await;
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!(
                "{}",
                serde_json::json!({"level": "ERROR", "function": function, "reason": error.to_string()})
            );
            ExitCode::FAILURE
        }
    }
}
