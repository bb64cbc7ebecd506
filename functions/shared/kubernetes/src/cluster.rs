use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use kube::Client;
use kube::api::PatchParams;
use kube::client::{Body, ClientBuilder};
use serde::de::DeserializeOwned;
use tidegate_domain::error::{Error, ErrorName, Result};
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, Service};

use crate::connection;
use crate::errors::{Asked, classify};
use crate::login::Login;

/// The whole answer to a request that is not a watch. The largest, a page of 500 nodes, takes well under a second.
/// With a watch of 20 s before it, such a request still ends within a function's 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// Requests that wait for the connection. A function makes one at a time.
const WAITING_REQUESTS: usize = 16;

/// The API server of a cluster, as one function may use it.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    function: &'static str,
    login: Option<Arc<Login>>,
}

impl Cluster {
    /// Connects a function to an API server; no request is made before the first question. Needs a Tokio runtime.
    ///
    /// `function` is the function's name, for error messages and as the field manager of its patches.
    /// `certificate_authority` are the certificates (PEM) that the server's own must be signed by. `login` answers a
    /// bearer token for each request; it is handed the token that the API server has just refused, if it has one,
    /// and answers another then. Errors of `login` arrive unchanged.
    ///
    /// # Errors
    /// `Defect` where the endpoint is no URL or the certificates cannot be read.
    pub fn connect<F>(
        function: &'static str,
        endpoint: &str,
        certificate_authority: &[u8],
        login: impl Fn(Option<String>) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        let connection = connection::connect(endpoint, certificate_authority)
            .map_err(|what| Error::new(ErrorName::Defect, format!("API server {endpoint}: {what}")))?;
        Ok(Self::logging_in(function, connection, Login::new(login)))
    }

    /// Puts the login before a connection.
    fn logging_in<S, B>(function: &'static str, connection: ClientBuilder<S>, login: Login) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Send + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let login = Arc::new(login);
        let authorizing = Arc::clone(&login);
        let client = connection
            .with_layer(&BufferLayer::new(WAITING_REQUESTS))
            .with_layer(&AsyncFilterLayer::new(move |request: Request<Body>| {
                Arc::clone(&authorizing).authorize(request)
            }))
            .build();
        Self {
            client,
            function,
            login: Some(login),
        }
    }

    /// A client that is logged in by its own means, such as by a kubeconfig. It must not retry by itself
    /// (`Config::default_retry` off).
    #[must_use]
    pub const fn with_client(function: &'static str, client: Client) -> Self {
        Self {
            client,
            function,
            login: None,
        }
    }

    /// Makes a request that must not fail.
    pub(crate) async fn ask<T>(&self, asked: Asked, request: impl AsyncFn() -> kube::Result<T>) -> Result<T> {
        self.send(request)
            .await
            .map_err(|error| self.classify(asked, error))
    }

    /// Makes a request for an object that may not be there. The status code decides: kube's `get_opt` wants the reason
    /// `NotFound` as well.
    pub(crate) async fn ask_optional<T>(
        &self,
        asked: Asked,
        request: impl AsyncFn() -> kube::Result<T>,
    ) -> Result<Option<T>> {
        match self.send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(self.classify(asked, error)),
        }
    }

    /// Makes a request. A login that is refused is tried once more, with another token.
    pub(crate) async fn send<T>(&self, request: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
        let in_time = async || {
            tokio::time::timeout(ANSWER_TIMEOUT, request())
                .await
                .unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
        };
        let answer = in_time().await;
        match (&answer, &self.login) {
            (Err(kube::Error::Api(status)), Some(login)) if status.code == 401 => {
                login.refused();
                in_time().await
            }
            _ => answer,
        }
    }

    /// Reads an object; none where there is none.
    pub(crate) async fn read_one<T: DeserializeOwned>(&self, asked: Asked, uri: &str) -> Result<Option<T>> {
        match self.send(async || self.client.request(get(uri)?).await).await {
            Ok(found) => Ok(Some(found)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(self.classify(asked, error)),
        }
    }

    pub(crate) const fn function(&self) -> &'static str {
        self.function
    }

    pub(crate) fn classify(&self, asked: Asked, error: kube::Error) -> Error {
        classify(self.function, asked, error)
    }

    /// Patches carry the function's name in `metadata.managedFields`.
    pub(crate) fn patch_params(&self) -> PatchParams {
        PatchParams {
            field_manager: Some(format!("tidegate-{}", self.function)),
            ..PatchParams::default()
        }
    }
}

pub(crate) fn get(uri: &str) -> kube::Result<Request<Vec<u8>>> {
    Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::header::AUTHORIZATION;
    use tower::util::BoxService;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const LIST_NODES: Asked = Asked {
        verb: "list",
        resource: "nodes",
    };

    type Answering = BoxService<Request<Body>, Response<Body>, BoxError>;

    /// An API server that accepts only tokens with that ending; notes the tokens it was shown.
    fn server(good: &'static str, shown: &Arc<Mutex<Vec<String>>>) -> ClientBuilder<Answering> {
        let shown = Arc::clone(shown);
        let service = service_fn(move |request: Request<Body>| {
            let token = request.headers()[AUTHORIZATION]
                .to_str()
                .expect("text")
                .to_owned();
            let accepted = token.ends_with(good);
            shown.lock().expect("not poisoned").push(token);
            let (status, body) = if accepted {
                (200, r#"{"major":"1"}"#)
            } else {
                (
                    401,
                    r#"{"kind":"Status","code":401,"message":"Unauthorized","reason":"Unauthorized"}"#,
                )
            };
            let body = Body::from(body.as_bytes().to_vec());
            let response = Response::builder().status(status).body(body).expect("a response");
            async move { Ok(response) }
        });
        ClientBuilder::new(service.boxed(), "default")
    }

    async fn version(cluster: &Cluster) -> Result<serde_json::Value> {
        let request = async || {
            let request = Request::get("/version")
                .body(Vec::new())
                .map_err(kube::Error::HttpError)?;
            cluster.client.request(request).await
        };
        cluster.ask(LIST_NODES, request).await
    }

    /// Answers `first`, and `second` in place of the refused `first`.
    // It stands for a login, which is handed the token for good.
    #[allow(clippy::needless_pass_by_value)]
    fn two_tokens(refused: Option<String>) -> impl Future<Output = Result<String>> {
        let token = if refused.as_deref() == Some("first") {
            "second"
        } else {
            "first"
        };
        std::future::ready(Ok(token.to_owned()))
    }

    #[tokio::test]
    async fn each_request_carries_the_token() {
        let shown = Arc::default();
        let cluster = Cluster::logging_in("label-node", server("first", &shown), Login::new(two_tokens));
        for _ in 0..2 {
            version(&cluster).await.expect("accepted");
        }
        assert_eq!(
            *shown.lock().expect("not poisoned"),
            ["Bearer first", "Bearer first"]
        );
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once() {
        let shown = Arc::default();
        let cluster = Cluster::logging_in("label-node", server("second", &shown), Login::new(two_tokens));
        version(&cluster).await.expect("accepted in the end");
        assert_eq!(
            *shown.lock().expect("not poisoned"),
            ["Bearer first", "Bearer second"]
        );
    }

    #[tokio::test]
    async fn a_login_that_stays_refused_names_the_access_entry() {
        let shown = Arc::default();
        let cluster = Cluster::logging_in("label-node", server("third", &shown), Login::new(two_tokens));
        let error = version(&cluster).await.expect_err("refused");
        assert_eq!(error.name, ErrorName::KubernetesRefused);
        assert!(error.message.contains("access entry"), "{error}");
        assert_eq!(shown.lock().expect("not poisoned").len(), 2);
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_had_keeps_its_own_error() {
        let shown = Arc::default();
        let error = Error::new(ErrorName::AwsUnavailable, "credentials: no answer");
        let answered = error.clone();
        let login = Login::new(move |_| std::future::ready(Err(answered.clone())));
        let cluster = Cluster::logging_in("label-node", server("first", &shown), login);
        assert_eq!(version(&cluster).await, Err(error));
        assert!(shown.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn an_endpoint_or_a_certificate_that_cannot_be_read_is_a_defect() {
        for (endpoint, authority) in [("not a url", ""), ("https://127.0.0.1:6443", "not a certificate")] {
            let error = Cluster::connect("label-node", endpoint, authority.as_bytes(), two_tokens)
                .err()
                .expect("an error");
            assert_eq!(error.name, ErrorName::Defect);
            assert!(error.message.contains(endpoint), "{error}");
        }
    }
}
