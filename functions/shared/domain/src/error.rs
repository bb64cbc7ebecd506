//! The errors that reach a state machine. Their names are a contract: the state machines retry and catch them by
//! name, and a test compares both lists.

use std::fmt;

/// The name of an error as a state machine sees it (`errorType` of the Lambda answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// What was handed in cannot be meant. Never retried.
    InvalidInput,
    /// The Kubernetes API cannot be reached, is overloaded or too slow. Says nothing about any node.
    KubernetesUnavailable,
    /// The Kubernetes API answered that it will not: missing rights, an object it finds invalid.
    KubernetesRefused,
    /// No Alluxio master answers as primary, or it is starting.
    AlluxioUnavailable,
    /// Alluxio answered that it will not: wrong user, unsupported version.
    AlluxioRefused,
    /// An AWS API throttles, fails or cannot be reached.
    AwsUnavailable,
    /// An AWS API answered that it will not: missing rights, invalid request.
    AwsRefused,
    /// A mistake of ours: an answer or a state that this code does not know.
    Defect,
}

impl ErrorName {
    /// Every name, for the contract tests.
    pub const ALL: [Self; 8] = [
        Self::InvalidInput,
        Self::KubernetesUnavailable,
        Self::KubernetesRefused,
        Self::AlluxioUnavailable,
        Self::AlluxioRefused,
        Self::AwsUnavailable,
        Self::AwsRefused,
        Self::Defect,
    ];

    /// The name as it stands in the state machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::KubernetesUnavailable => "KubernetesUnavailable",
            Self::KubernetesRefused => "KubernetesRefused",
            Self::AlluxioUnavailable => "AlluxioUnavailable",
            Self::AlluxioRefused => "AlluxioRefused",
            Self::AwsUnavailable => "AwsUnavailable",
            Self::AwsRefused => "AwsRefused",
            Self::Defect => "Defect",
        }
    }
}

/// An error with its stable name and one sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the state machine decides by.
    pub name: ErrorName,
    /// What was tried, and what came back.
    pub message: String,
}

impl Error {
    /// An error of that name.
    pub fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
        }
    }

    /// Bad input: names the field, its value, and what was expected.
    pub fn invalid(field: &str, value: impl fmt::Display, expected: &str) -> Self {
        Self::new(
            ErrorName::InvalidInput,
            format!("{field}: {value} is not {expected}"),
        )
    }
}

/// The result of everything that may reach a state machine.
pub type Result<T> = std::result::Result<T, Error>;
