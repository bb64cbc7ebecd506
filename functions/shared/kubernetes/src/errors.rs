//! What an error of the Kubernetes API means to a state machine.

use std::error::Error as StdError;
use std::fmt;

use kube::core::Status;
use tidegate_domain::error::{Error, ErrorName};
use tokio::time::error::Elapsed;

/// What was asked of the API server, in the words of its access rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Such as `list`.
    pub(crate) verb: &'static str,
    /// Such as `nodes`.
    pub(crate) resource: &'static str,
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)
    }
}

/// Names an error for the state machines, and says in one sentence what was asked and what came back.
///
/// No connection, no answer in time, 5xx, 429 (and 408, 410, which pass) are [`ErrorName::KubernetesUnavailable`];
/// every other status is [`ErrorName::KubernetesRefused`]; an answer that cannot be read is a [`ErrorName::Defect`].
pub(crate) fn classify(function: &str, asked: Asked, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => refused_or_unavailable(function, asked, &status),
        // The login could not be had: its error has its name already.
        kube::Error::Service(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) if error.is::<Elapsed>() => unavailable(asked, "no answer in time"),
            Err(error) => unavailable(asked, &with_sources(error.as_ref())),
        },
        error @ (kube::Error::HyperError(_) | kube::Error::ReadEvents(_)) => {
            unavailable(asked, &with_sources(&error))
        }
        other => Error::new(
            ErrorName::Defect,
            format!("Kubernetes, {asked}: {}", with_sources(&other)),
        ),
    }
}

fn unavailable(asked: Asked, what: &str) -> Error {
    Error::new(
        ErrorName::KubernetesUnavailable,
        format!("Kubernetes, {asked}: {what}"),
    )
}

fn refused_or_unavailable(function: &str, asked: Asked, status: &Status) -> Error {
    let Status { code, message, .. } = status;
    let refused = |what: String| {
        Error::new(
            ErrorName::KubernetesRefused,
            format!("Kubernetes, {asked}: {what}"),
        )
    };
    match code {
        401 => refused(format!(
            "the login of {function} is not accepted ({message}): the cluster has no access entry for its role, or \
             knows another account, region or cluster name"
        )),
        403 => refused(format!(
            "{function} may not ({message}): see rbac.yaml of {function}"
        )),
        408 | 410 | 429 | 500.. => unavailable(asked, &format!("HTTP status {code}: {message}")),
        _ => refused(format!("HTTP status {code}: {message}")),
    }
}

/// The error and what caused it: "client error (Connect)" alone helps nobody.
fn with_sources(error: &(dyn StdError + 'static)) -> String {
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
