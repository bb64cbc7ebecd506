//! An API server that answers as it is told to, and notes what it was asked.

#![allow(clippy::expect_used, reason = "part of tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tidegate_kubernetes::Cluster;
use tower::service_fn;

type Frame = Result<http_body::Frame<Bytes>, std::convert::Infallible>;

/// An answer.
pub(crate) enum Answer {
    /// A status and a body.
    With(u16, Value),
    /// The events of a watch, which stays open after them.
    Watch(Vec<Value>),
    /// The events of a watch, which ends after them.
    EndedWatch(Vec<Value>),
    /// None, ever.
    Silence,
}

impl Answer {
    /// A `List` of these objects.
    pub(crate) fn list(items: &[Value]) -> Self {
        Self::With(
            200,
            json!({"metadata": {"resourceVersion": "100"}, "items": items}),
        )
    }

    /// A good answer that nobody reads.
    pub(crate) fn done() -> Self {
        Self::With(200, json!({"kind": "Status", "status": "Success", "code": 200}))
    }

    /// A `Status` of failure.
    pub(crate) fn failure(code: u16, message: &str) -> Self {
        Self::failure_because(code, message, &[])
    }

    /// A `Status` of failure with causes: reason and message.
    pub(crate) fn failure_because(code: u16, message: &str, causes: &[(&str, &str)]) -> Self {
        let causes: Vec<_> = causes
            .iter()
            .map(|(reason, message)| json!({"reason": reason, "message": message}))
            .collect();
        let details = json!({ "causes": causes });
        let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": message, "details": details});
        Self::With(code, status)
    }
}

/// A request as the API server received it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// Query parameters, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// `Content-Type`.
    pub(crate) content_type: String,
    /// The body; null where there is none.
    pub(crate) body: Value,
}

impl Asked {
    /// The value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The API server. What it is asked beyond its answers it never answers.
pub(crate) struct Script {
    /// The cluster of that API server.
    pub(crate) cluster: Cluster,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// An API server with these answers, in order.
    pub(crate) fn with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let kept = Arc::clone(&asked);
        let service = service_fn(move |request: http::Request<Body>| {
            let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
            async move {
                let asked = read(request).await;
                kept.lock().expect("not poisoned").push(asked);
                let answer = answers.lock().expect("not poisoned").pop_front();
                Ok::<_, tower::BoxError>(respond(answer.unwrap_or(Answer::Silence)).await)
            }
        });
        Self {
            cluster: Cluster::with_client("label-node", Client::new(service, "default")),
            asked,
        }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// Methods and paths of what it was asked so far; a watch is `WATCH`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |asked: Asked| match asked.parameter("watch") {
            Some(_) => asked.line.replacen("GET", "WATCH", 1),
            None => asked.line,
        };
        self.asked().into_iter().map(line).collect()
    }
}

async fn read(request: http::Request<Body>) -> Asked {
    let (head, body) = request.into_parts();
    let body = body.collect_bytes().await.expect("a body");
    let query = head.uri.query().unwrap_or_default().split('&');
    let content_type = head.headers.get("content-type");
    Asked {
        line: format!("{} {}", head.method, head.uri.path()),
        query: query
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), decoded(value)))
            .collect(),
        content_type: content_type
            .map(|value| value.to_str().expect("text").to_owned())
            .unwrap_or_default(),
        body: if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).expect("JSON")
        },
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().replace('+', " ");
    for part in parts {
        let (code, rest) = part.split_at(2);
        decoded.push(char::from(u8::from_str_radix(code, 16).expect("hexadecimal")));
        decoded.push_str(&rest.replace('+', " "));
    }
    decoded
}

async fn respond(
    answer: Answer,
) -> http::Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>> {
    let frames = |events: Vec<Value>| {
        stream::iter(events).map(|event| Frame::Ok(http_body::Frame::data(format!("{event}\n").into())))
    };
    let (status, body) = match answer {
        Answer::With(status, body) => (status, Full::from(body.to_string()).boxed_unsync()),
        Answer::Watch(events) => {
            let open = frames(events).chain(stream::pending());
            (200, StreamBody::new(open).boxed_unsync())
        }
        Answer::EndedWatch(events) => (200, StreamBody::new(frames(events)).boxed_unsync()),
        Answer::Silence => std::future::pending().await,
    };
    http::Response::builder()
        .status(status)
        .body(body)
        .expect("a response")
}
