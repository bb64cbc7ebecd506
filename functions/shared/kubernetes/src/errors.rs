//! What an error of the Kubernetes API means to a state machine.

use std::error::Error as StdError;
use std::fmt;

use kube::core::Status;
use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::ports::{Refusal, RefusedBy};
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

/// An admission webhook, or a `ValidatingAdmissionPolicy`, that has denied a request; both under any status code.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>
const DENIED: [&str; 2] = ["denied the request", "denied request"];
/// An admission webhook whose failure policy is `Fail`, and that could not be asked.
const WEBHOOK_FAILED: &str = "failed calling webhook";
/// Characters that are kept of what the API server says: a webhook may say as much as it likes.
const MOST_WORDS: usize = 500;
const NO_ANSWER: &str = "no answer in time";

/// Names an error for the state machines, and says in one sentence what was asked and what came back.
///
/// No connection, no answer in time, 5xx, 429 (and 408, 410, which pass), and an admission webhook that cannot be asked
/// are [`ErrorName::KubernetesUnavailable`]; every other status is [`ErrorName::KubernetesRefused`]; an answer that
/// cannot be read is a [`ErrorName::Defect`].
pub(crate) fn classify(function: &str, asked: Asked, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => refused_or_unavailable(function, asked, &status),
        // The login could not be had: its error has its name already.
        kube::Error::Service(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) if error.is::<Elapsed>() => unavailable(asked, NO_ANSWER),
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
    let Refusal { by, words } = refusal(function, asked, status);
    let passes = match by {
        RefusedBy::Webhook | RefusedBy::Silence => true,
        RefusedBy::Rights | RefusedBy::Admission => false,
        RefusedBy::Server => matches!(status.code, 408 | 410 | 429 | 500..),
    };
    if passes {
        return unavailable(asked, &words);
    }
    Error::new(
        ErrorName::KubernetesRefused,
        format!("Kubernetes, {asked}: {words}"),
    )
}

/// What stands against a request, and that in one sentence with the API server's own words.
///
/// A 403 is either access control's, whose words are always the same, or admission's.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authorization/>
pub(crate) fn refusal(function: &str, asked: Asked, status: &Status) -> Refusal {
    let code = status.code;
    let message = first_words(&status.message);
    let no_right = format!("cannot {} ", asked.verb);
    let denied = DENIED.iter().any(|words| status.message.contains(words));
    let (by, words) = match code {
        _ if denied => (RefusedBy::Admission, format!("denied by admission: {message}")),
        _ if status.message.contains(WEBHOOK_FAILED) => (
            RefusedBy::Webhook,
            format!("an admission webhook cannot be asked: {message}"),
        ),
        401 => (
            RefusedBy::Rights,
            format!(
                "the login of {function} is not accepted ({message}): the cluster has no access entry for its role, or \
                 knows another account, region or cluster name"
            ),
        ),
        403 if status.message.contains(&no_right) => (
            RefusedBy::Rights,
            format!("{function} may not ({message}): see rbac.yaml of {function}"),
        ),
        403 => (RefusedBy::Admission, format!("denied by admission: {message}")),
        _ => (RefusedBy::Server, format!("HTTP status {code}: {message}")),
    };
    Refusal { by, words }
}

/// The refusal of a request about one object that was given up waiting for. Any other error that is no answer is about
/// the API server itself.
pub(crate) fn silence(function: &str, asked: Asked, error: kube::Error) -> Result<Refusal, Error> {
    match error {
        kube::Error::Service(error) if error.is::<Elapsed>() => Ok(Refusal {
            by: RefusedBy::Silence,
            words: NO_ANSWER.to_owned(),
        }),
        other => Err(classify(function, asked, other)),
    }
}

fn first_words(message: &str) -> String {
    let mut words: String = message.chars().take(MOST_WORDS).collect();
    if words.len() < message.len() {
        words.push_str(" ...");
    }
    words
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
