use std::sync::Arc;
use std::time::Duration;

use kube::api::PatchParams;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tidegate_domain::error::{Error, ErrorName, Result};
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;

use crate::errors::{Asked, classify};
use crate::login::Login;

/// The API server is in the same region: a connection that takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
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
        let defect = |what: String| Error::new(ErrorName::Defect, format!("API server {endpoint}: {what}"));
        let url = endpoint.parse().map_err(|error| defect(format!("{error}")))?;
        let certificates = CertificateDer::pem_slice_iter(certificate_authority)
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| defect(format!("certificate authority: {error}")))?;
        if certificates.is_empty() {
            return Err(defect("certificate authority: no certificate in it".to_owned()));
        }
        let mut config = Config::new(url);
        config.root_cert = Some(certificates);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube retries 429 fifteen times, over minutes: an eviction that a disruption budget forbids would hang. The
        // state machine retries, in its own time.
        config.default_retry = false;
        let login = Arc::new(Login::new(login));
        let authorizing = Arc::clone(&login);
        let client = ClientBuilder::try_from(config)
            .map_err(|error| defect(error.to_string()))?
            .with_layer(&BufferLayer::new(WAITING_REQUESTS))
            .with_layer(&AsyncFilterLayer::new(move |request: http::Request<Body>| {
                Arc::clone(&authorizing).authorize(request)
            }))
            .build();
        Ok(Self {
            client,
            function,
            login: Some(login),
        })
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
