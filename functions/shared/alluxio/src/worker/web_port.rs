//! One GET on a worker's web port.

use std::net::Ipv6Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tidegate_domain::cache::Worker;
use tidegate_domain::error::{Error, ErrorName, Result};

/// A node that is gone does not refuse a connection, it is silent.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The body.
    Body(Bytes),
    /// Nothing in time, or a server that is starting, ending or in trouble.
    Silence,
    /// More than was allowed. The rest was not read.
    TooLarge,
}

#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client }
    }
}

impl Http {
    /// `AlluxioRefused` where the worker has no such page.
    pub(crate) async fn get(
        &self,
        worker: &Worker,
        path: &str,
        query: &[(&str, u64)],
        deadline: Duration,
        limit_bytes: usize,
    ) -> Result<Answer> {
        let url = url(worker, path, query)?;
        let (status, body) = match tokio::time::timeout(deadline, self.answer(url, limit_bytes)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Ok(Answer::TooLarge),
            Ok(Err(error)) => return Ok(silence(worker, path, &told(error.as_ref()))),
            Err(_) => {
                return Ok(silence(
                    worker,
                    path,
                    &format!("nothing within {} s", deadline.as_secs()),
                ));
            }
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(silence(worker, path, status.as_str()));
        }
        if !status.is_success() {
            return Err(Error::new(
                ErrorName::AlluxioRefused,
                format!(
                    "Alluxio worker {} answers {path} with {status}: Alluxio 2.9.4 or later is needed",
                    worker.host
                ),
            ));
        }
        Ok(Answer::Body(body))
    }

    async fn answer(&self, url: Uri, limit_bytes: usize) -> std::result::Result<(StatusCode, Bytes), Cause> {
        let response = self.client.get(url).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit_bytes).collect().await?;
        Ok((status, body.to_bytes()))
    }
}

fn silence(worker: &Worker, path: &str, why: &str) -> Answer {
    tracing::debug!(worker.host, path, why, "Alluxio worker does not answer");
    Answer::Silence
}

/// An error with its causes: the library's own words name the URL and not what happened.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// `Defect` where the worker registered an address that is none.
fn url(worker: &Worker, path: &str, query: &[(&str, u64)]) -> Result<Uri> {
    let host = if worker.address.parse::<Ipv6Addr>().is_ok() {
        format!("[{}]", worker.address)
    } else {
        worker.address.clone()
    };
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let sign = if query.is_empty() { "" } else { "?" };
    let url = format!("http://{host}:{}{path}{sign}{}", worker.web_port, query.join("&"));
    url.parse().map_err(|error| {
        Error::new(
            ErrorName::Defect,
            format!("Alluxio worker {} cannot be asked at {url}: {error}", worker.host),
        )
    })
}

#[cfg(test)]
mod tests {
    use tidegate_domain::cache::WorkerState;

    use super::*;

    fn worker(address: &str) -> Worker {
        Worker {
            host: "node-7".into(),
            address: address.into(),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: 0,
            used_bytes: 0,
            last_contact_seconds: 0,
        }
    }

    #[test]
    fn a_worker_is_asked_at_its_address_and_web_port() {
        let asked = |address, query| url(&worker(address), "/x", query).expect("a URL").to_string();
        assert_eq!(asked("10.0.0.7", &[]), "http://10.0.0.7:30000/x");
        assert_eq!(
            asked("fd00::7", &[("offset", 500), ("limit", 9)]),
            "http://[fd00::7]:30000/x?offset=500&limit=9"
        );
        assert!(url(&worker("not a host"), "/x", &[]).is_err());
    }
}
