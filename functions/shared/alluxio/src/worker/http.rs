//! One GET on a worker's web port.

use std::net::Ipv6Addr;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use tidegate_domain::cache::Worker;
use tidegate_domain::error::{Error, ErrorName, Result};

/// A node that is gone does not refuse a connection, it is silent.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The body.
    Body(Vec<u8>),
    /// Nothing in time, or a server that is starting, ending or in trouble.
    Silence,
    /// More than was allowed. The rest was not read.
    TooLarge,
}

#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
}

impl Http {
    pub(crate) fn new() -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            // Workers are neighbours; a proxy of the environment is for the world outside.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(ErrorName::Defect, format!("no HTTP client: {}", told(&error))))?;
        Ok(Self { client })
    }

    /// `AlluxioRefused` where the worker has no such page.
    pub(crate) async fn get(
        &self,
        worker: &Worker,
        path: &str,
        query: &[(&str, u64)],
        deadline: Duration,
        limit_bytes: usize,
    ) -> Result<Answer> {
        let request = self.client.get(url(worker, path)).query(query).timeout(deadline);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(silence(worker, path, &told(&error))),
        };
        let status = response.status();
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
        match body(response, limit_bytes).await {
            Ok(Some(body)) => Ok(Answer::Body(body)),
            Ok(None) => Ok(Answer::TooLarge),
            Err(error) => Ok(silence(worker, path, &told(&error))),
        }
    }
}

async fn body(mut response: Response, limit_bytes: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
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

fn url(worker: &Worker, path: &str) -> String {
    if worker.address.parse::<Ipv6Addr>().is_ok() {
        format!("http://[{}]:{}{path}", worker.address, worker.web_port)
    } else {
        format!("http://{}:{}{path}", worker.address, worker.web_port)
    }
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
        assert_eq!(url(&worker("10.0.0.7"), "/x"), "http://10.0.0.7:30000/x");
        assert_eq!(url(&worker("fd00::7"), "/x"), "http://[fd00::7]:30000/x");
    }
}
