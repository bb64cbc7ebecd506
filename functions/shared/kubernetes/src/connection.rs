use std::time::Duration;

use http::{Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder};
use kube::{Config, client::ConfigExt};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// The API server is in the same region: a connection that takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What carries requests to an API server.
pub(crate) type Connection = BoxService<Request<Body>, Response<hyper::body::Incoming>, BoxError>;

/// A connection to an API server; opened by the first request. Answers what could not be read.
///
/// kube's own `ClientBuilder::try_from(Config)` can log in by plugins and kubeconfig files: with YAML, `JSONPath` and
/// regular expressions that no function calls, in every zip. It would also retry 429 fifteen times, over minutes, so that
/// an eviction that a disruption budget forbids would hang; here the state machine retries, in its own time.
pub(crate) fn connect(
    endpoint: &str,
    certificate_authority: &[u8],
) -> Result<ClientBuilder<Connection>, String> {
    let url: Uri = endpoint
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(certificate_authority) {
        let certificate = certificate.map_err(|error| format!("certificate authority: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("certificate authority: {error}"))?;
    }
    if roots.is_empty() {
        return Err("certificate authority: no certificate in it".to_owned());
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(http);
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let requests = ServiceBuilder::new()
        .layer(Config::new(url).base_uri_layer())
        .map_err(BoxError::from)
        .service(Client::builder(TokioExecutor::new()).build(connector));
    Ok(ClientBuilder::new(requests.boxed(), "default"))
}
