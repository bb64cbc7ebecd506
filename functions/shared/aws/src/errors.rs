//! What an error of an AWS API means to a state machine.

use std::error::Error as StdError;

use aws_sdk_autoscaling::config::http::HttpResponse;
use aws_sdk_autoscaling::error::{ProvideErrorMetadata, SdkError};
use tidegate_domain::error::{Error, ErrorName, Result};

/// Error codes with a status below 500 that mean "not now". Those that the SDK retries:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>.
const NOT_NOW: [&str; 12] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
];

/// Names an error for the state machines, and says in one sentence which operation met it.
///
/// Throttling, errors of the service, timeouts and a missing connection are [`ErrorName::AwsUnavailable`]; what the
/// service will not do is [`ErrorName::AwsRefused`]; an answer that cannot be read is a [`ErrorName::Defect`].
/// `operation` is spelled as in IAM, such as `autoscaling:DescribeLifecycleHooks`.
pub fn classify<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let unavailable = |what: String| Error::new(ErrorName::AwsUnavailable, format!("{operation}: {what}"));
    match error {
        SdkError::TimeoutError(_) => unavailable("no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) => {
            let reason = failure.as_connector_error().map_or_else(
                || "unknown".to_owned(),
                |error| with_sources(error as &dyn StdError),
            );
            unavailable(format!("no connection: {reason}"))
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or("no error code");
            let message = service.err().message().unwrap_or("no message");
            let what = format!("{code} (HTTP status {status}): {message}");
            if status < 400 {
                // The SDK reports a good answer that it cannot read as an error of the service.
                Error::new(
                    ErrorName::Defect,
                    format!("{operation}: {}", with_sources(service.err() as &dyn StdError)),
                )
            } else if status >= 500 || status == 429 || NOT_NOW.contains(&code) {
                unavailable(what)
            } else {
                Error::new(ErrorName::AwsRefused, format!("{operation}: {what}"))
            }
        }
        SdkError::ResponseError(response) if response.raw().status().as_u16() >= 500 => unavailable(format!(
            "an answer of HTTP status {} that cannot be read",
            response.raw().status()
        )),
        other => Error::new(
            ErrorName::Defect,
            format!("{operation}: {}", with_sources(other as &dyn StdError)),
        ),
    }
}

/// What an answer must tell; `what` is the name of the field. The SDK makes an empty text of a text that is required
/// and missing.
pub fn told(operation: &str, value: Option<&str>, what: &str) -> Result<String> {
    value
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| incomplete(operation, what))
}

/// An answer that lacks what it must have.
pub(crate) fn incomplete(operation: &str, what: &str) -> Error {
    Error::new(
        ErrorName::Defect,
        format!("{operation}: the answer does not tell {what}"),
    )
}

/// The error and what caused it: the SDK's own messages say no more than "dispatch failure".
pub(crate) fn with_sources(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}
