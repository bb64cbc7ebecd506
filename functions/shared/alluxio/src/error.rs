//! What a failed call means: the only place where the statuses of gRPC become the errors of the domain.

use std::error::Error as _;

use tidegate_domain::error::{Error, ErrorName};
use tonic::{Code, Status};

/// The first characters of a message of the master's are enough: an unknown host is answered with the names of
/// all workers.
const MESSAGE_LIMIT: usize = 300;

/// A call that was not answered as it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No server says that it serves: which was wanted, and what each of them said.
    Unreachable {
        /// In words.
        wanted: &'static str,
        /// By `host:port`.
        said: Vec<(String, Status)>,
    },
    /// Nobody says where the servers are. The error has its name already.
    Lookup(Error),
    /// Another neighbour did not do what it was asked. The error has its name already.
    Neighbour(Error),
    /// The server does not let us in.
    Login {
        /// In words, with its `host:port`.
        server: String,
        /// Its answer.
        status: Box<Status>,
    },
    /// The server did not do what it was asked.
    Call {
        /// In words, with its `host:port`.
        server: String,
        /// Its answer.
        status: Box<Status>,
    },
}

impl Failure {
    pub(crate) fn login(server: &str, status: Status) -> Self {
        Self::Login {
            server: server.to_owned(),
            status: Box::new(status),
        }
    }

    pub(crate) fn call(server: &str, status: Status) -> Self {
        Self::Call {
            server: server.to_owned(),
            status: Box::new(status),
        }
    }

    pub(crate) fn unreachable(wanted: &'static str, address: String) -> Self {
        Self::Unreachable {
            wanted,
            said: vec![(address, Status::unavailable("not a host and a port"))],
        }
    }

    /// Whether another server might be reached where this one was not.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lookup(_) => true,
            Self::Neighbour(_) => false,
            Self::Login { status, .. } | Self::Call { status, .. } => is_away(status),
        }
    }

    /// Whether the server answered the call itself with that code and these words.
    pub(crate) fn is(&self, code: Code, words: &str) -> bool {
        matches!(self, Self::Call { status, .. } if status.code() == code && status.message().contains(words))
    }

    /// The error that a state machine sees. `what` completes "Alluxio master ... did not", `user` is who asked.
    pub(crate) fn classify(self, what: &str, user: &str) -> Error {
        match self {
            Self::Unreachable { wanted, said } => {
                let said: Vec<_> = said
                    .iter()
                    .map(|(server, status)| format!("{server} says {}", told(status)))
                    .collect();
                unavailable(format!("{wanted}: {}", said.join("; ")))
            }
            Self::Lookup(error) | Self::Neighbour(error) => error,
            Self::Login { server, status } => classify_login(&server, &status, user),
            Self::Call { server, status } => classify_call(&server, &status, what, user),
        }
    }
}

fn classify_login(server: &str, status: &Status, user: &str) -> Error {
    let told = told(status);
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => refused(format!(
            "{server} refuses the login of {user} ({told}): \
             configure a user that it accepts, with alluxio.security.authentication.type SIMPLE"
        )),
        Code::Unimplemented => refused(format!(
            "{server} takes no login ({told}): if its alluxio.security.authentication.type is NOSASL, \
             configure the login accordingly"
        )),
        _ => unavailable(format!("{server} did not log {user} in: {told}")),
    }
}

fn classify_call(server: &str, status: &Status, what: &str, user: &str) -> Error {
    let told = told(status);
    if is_away(status) {
        return unavailable(format!("{server} did not {what}: {told}"));
    }
    match status.code() {
        // A master that is starting: its port answers before its services are there.
        Code::NotFound if service_is_missing(status) => unavailable(format!("{server} is starting: {told}")),
        Code::Unauthenticated => refused(format!(
            "{server} does not know the login of {user} ({told}): \
             configure the login that its alluxio.security.authentication.type asks for"
        )),
        Code::PermissionDenied => refused(format!(
            "{server} does not let {user} {what} ({told}): \
             configure the user that runs Alluxio, or one of its supergroup"
        )),
        Code::Unimplemented => refused(format!(
            "{server} cannot {what} ({told}): Alluxio 2.9.4 or later is needed"
        )),
        Code::FailedPrecondition => refused(format!("{server} refuses to {what}: {told}")),
        code => Error::new(
            ErrorName::Defect,
            format!("{server} was to {what} and answered {code:?}, which is not expected: {told}"),
        ),
    }
}

/// Nobody answered, or in no state to do it.
fn is_away(status: &Status) -> bool {
    is_transport(status)
        || matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::ResourceExhausted
                | Code::Aborted
        )
}

/// Whether a server that does not serve has said so itself: a standby, or one that is starting.
pub(crate) fn is_from_server(status: &Status) -> bool {
    status.source().is_none() && status.code() != Code::DeadlineExceeded
}

/// A status that no server sent: the connection broke, or what came over it is not HTTP/2.
pub(crate) fn is_transport(status: &Status) -> bool {
    matches!(status.code(), Code::Unknown | Code::Internal) && status.source().is_some()
}

/// `ServiceVersionClientServiceHandler` says so while the services are not registered yet.
fn service_is_missing(status: &Status) -> bool {
    let message = status.message();
    message.starts_with("Service ") && message.contains("is not found")
}

/// The code and the first line of the message, cut to a length for people.
fn told(status: &Status) -> String {
    let line = status.message().lines().next().unwrap_or_default().trim();
    let mut text: String = line.chars().take(MESSAGE_LIMIT).collect();
    if text.len() < line.len() {
        text.push_str("...");
    }
    // The transport's own words are "transport error"; what happened is in its sources.
    let mut source = status.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    if text.is_empty() {
        format!("{:?}", status.code())
    } else {
        format!("{:?}: {text}", status.code())
    }
}

fn unavailable(message: String) -> Error {
    Error::new(ErrorName::AlluxioUnavailable, message)
}

fn refused(message: String) -> Error {
    Error::new(ErrorName::AlluxioRefused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "Alluxio master 10.0.0.2:19998";

    fn call(status: Status) -> Error {
        Failure::call(MASTER, status).classify("decommission worker 10.0.0.7", "tidegate")
    }

    fn login(status: Status) -> Error {
        Failure::login(MASTER, status).classify("look", "tidegate")
    }

    #[test]
    fn a_master_that_is_starting_is_unavailable() {
        for status in [
            Status::unavailable("Alluxio master is in safe mode. Please try again later."),
            Status::not_found("Service BLOCK_MASTER_CLIENT_SERVICE is not found."),
            Status::deadline_exceeded("the call was not answered within 5 s"),
            Status::cancelled("h2 stream was reset"),
            Status::resource_exhausted("too many requests"),
        ] {
            assert_eq!(
                call(status.clone()).name,
                ErrorName::AlluxioUnavailable,
                "{status:?}"
            );
        }
    }

    #[test]
    fn a_broken_connection_is_unavailable_whatever_code_it_is_given() {
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset by peer")));
        assert_eq!(broken.code(), Code::Unknown);
        let error = call(broken);
        assert_eq!(error.name, ErrorName::AlluxioUnavailable);
        assert!(error.message.contains("connection reset by peer"), "{error}");
    }

    #[test]
    fn no_primary_names_every_master_and_what_it_said() {
        let said = vec![
            ("a:19998".to_owned(), Status::unavailable("standby")),
            ("b:19998".to_owned(), Status::unavailable("connection refused")),
        ];
        let error = Failure::Unreachable {
            wanted: "no Alluxio master answers as primary",
            said,
        }
        .classify("look", "tidegate");
        assert_eq!(error.name, ErrorName::AlluxioUnavailable);
        for word in ["a:19998", "standby", "b:19998", "connection refused"] {
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn missing_rights_are_refused_and_say_whom_to_configure() {
        let error = call(Status::permission_denied("user=tidegate, access=-w-, path=/a"));
        assert_eq!(error.name, ErrorName::AlluxioRefused);
        assert!(
            error.message.contains("configure the user that runs Alluxio"),
            "{error}"
        );
    }

    #[test]
    fn a_master_without_the_call_is_refused_and_says_which_version_is_needed() {
        let error = call(Status::unimplemented("Method not found"));
        assert_eq!(error.name, ErrorName::AlluxioRefused);
        assert!(error.message.contains("2.9.4 or later is needed"), "{error}");
    }

    #[test]
    fn a_refused_login_is_refused_and_a_failed_one_is_unavailable() {
        assert_eq!(
            login(Status::unauthenticated("no")).name,
            ErrorName::AlluxioRefused
        );
        assert_eq!(
            login(Status::unimplemented("no such service")).name,
            ErrorName::AlluxioRefused
        );
        assert_eq!(
            login(Status::unavailable("connection refused")).name,
            ErrorName::AlluxioUnavailable
        );
        assert_eq!(
            call(Status::unauthenticated("no")).name,
            ErrorName::AlluxioRefused
        );
    }

    #[test]
    fn an_answer_that_nobody_expects_is_a_defect() {
        assert_eq!(call(Status::internal("\"m\" is null")).name, ErrorName::Defect);
        assert_eq!(
            call(Status::not_found("Path /a does not exist")).name,
            ErrorName::Defect
        );
        assert_eq!(call(Status::invalid_argument("what?")).name, ErrorName::Defect);
    }

    #[test]
    fn a_long_message_is_cut_to_its_first_line_and_a_length_for_people() {
        let error = call(Status::internal(format!("first{}\nsecond", "x".repeat(10_000))));
        assert!(
            error.message.len() < 600 && !error.message.contains("second"),
            "{error}"
        );
    }

    #[test]
    fn only_an_answer_of_the_primary_itself_is_matched() {
        let missing = Status::not_found("Path \"/a\" does not exist.");
        assert!(Failure::call(MASTER, missing.clone()).is(Code::NotFound, "does not exist"));
        assert!(!Failure::call(MASTER, missing.clone()).is(Code::NotFound, "Worker"));
        assert!(!Failure::login(MASTER, missing).is(Code::NotFound, ""));
    }
}
