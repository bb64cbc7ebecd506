//! An AWS endpoint on loopback that says what it is told to say: the SDK runs as it is, with its real HTTP client.

#![allow(clippy::expect_used, reason = "part of tests")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// What the endpoint does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Answers with that status and body.
    With(u16, String),
    /// Never answers.
    Silence,
}

impl Answer {
    /// A good answer.
    pub(crate) fn ok(body: &str) -> Self {
        Self::With(200, body.to_owned())
    }

    /// An error as the APIs with the query protocol (Auto Scaling) spell it.
    pub(crate) fn query_error(status: u16, code: &str) -> Self {
        Self::With(
            status,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{code} it says</Message>\
                 </Error><RequestId>r</RequestId></ErrorResponse>"
            ),
        )
    }
}

/// The endpoint. It serves as many requests as it has answers, then closes.
pub(crate) struct Endpoint {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// An endpoint with these answers, in order.
    pub(crate) fn with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (answers, kept) = (answers.into_iter().collect::<Vec<_>>(), Arc::clone(&requests));
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().expect("a connection");
                serve(stream, answer, &kept);
            }
        });
        Self { address, requests }
    }

    /// The heads and bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }

    /// The SDK's configuration against this endpoint: no retries, half a second for an attempt.
    pub(crate) fn configuration(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-west-2"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("http://{}", self.address))
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(Duration::from_millis(500))
                    .build(),
            )
            .build()
    }
}

fn serve(stream: TcpStream, answer: Answer, requests: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let from = text.len();
        reader.read_line(&mut text).expect("a head");
        let line = text[from..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    text.push_str(&String::from_utf8_lossy(&body));
    requests.lock().expect("not poisoned").push(text);
    let mut stream = reader.into_inner();
    match answer {
        Answer::With(status, body) => write!(
            stream,
            "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("written"),
        // Until the other side gives up.
        Answer::Silence => drop(stream.read(&mut [0])),
    }
}
