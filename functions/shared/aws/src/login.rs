//! The token by which a role logs in to an EKS cluster: a presigned `GetCallerIdentity`, which the cluster sends to
//! STS to learn who signed it. <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidegate_domain::error::{Error, ErrorName, Result};

use crate::errors::with_sources;

/// Names the cluster inside the signature, so that a token for one cluster is none for another.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// `X-Amz-Expires`. Clusters hold a token good for 15 minutes from `X-Amz-Date` whatever this says; 60 is the custom.
const EXPIRES: Duration = Duration::from_secs(60);
/// A token is good for 15 minutes; renewed this early, it outlives the longest call of a function and a clock that is
/// a minute off. Renewing it for every request would cost the cluster a call of STS each time.
const RENEWED_AFTER: Duration = Duration::from_secs(13 * 60);
/// The longest token that clusters accept.
const LONGEST_TOKEN: usize = 4096;

/// Logs a function's role in to a cluster. Clones share the token.
#[derive(Clone, Debug)]
pub struct EksLogin {
    credentials: SharedCredentialsProvider,
    region: Arc<str>,
    cluster: Arc<str>,
    kept: Arc<Mutex<Option<Kept>>>,
}

struct Kept {
    token: String,
    good_until: SystemTime,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Kept")
            .field("good_until", &self.good_until)
            .finish_non_exhaustive()
    }
}

impl EksLogin {
    /// The login at the cluster of that name, in the region and with the credentials of that configuration.
    ///
    /// # Errors
    /// `InvalidInput` where the configuration has no region or no source of credentials.
    pub fn new(configuration: &SdkConfig, cluster: &str) -> Result<Self> {
        let missing = |what, expected| Error::invalid(what, "an empty or missing value", expected);
        let region = configuration
            .region()
            .ok_or_else(|| missing("AWS_REGION", "a region"))?;
        let credentials = configuration
            .credentials_provider()
            .ok_or_else(|| missing("credentials", "a source of credentials"))?;
        Ok(Self {
            credentials,
            region: region.as_ref().into(),
            cluster: cluster.into(),
            kept: Arc::default(),
        })
    }

    /// A token that is good for two minutes at least. Signing is local: no call is made, except for the credentials.
    ///
    /// `refused` is a token that the API server has just refused, if it has: it is not answered again.
    ///
    /// # Errors
    /// `AwsUnavailable` where the credentials cannot be had; `Defect` where they cannot be signed with.
    pub fn token(
        &self,
        refused: Option<String>,
    ) -> impl Future<Output = Result<String>> + Send + 'static + use<> {
        let login = self.clone();
        async move { login.token_at(SystemTime::now(), refused.as_deref()).await }
    }

    async fn token_at(&self, now: SystemTime, refused: Option<&str>) -> Result<String> {
        if let Some(token) = self.kept_token(now, refused) {
            return Ok(token);
        }
        let credentials = self.credentials.provide_credentials().await.map_err(|error| {
            Error::new(
                ErrorName::AwsUnavailable,
                format!("credentials of this function: {}", with_sources(&error)),
            )
        })?;
        let token = sign_token(&credentials, &self.region, &self.cluster, now)?;
        let renewal = now + RENEWED_AFTER;
        let good_until = credentials.expiry().map_or(renewal, |expiry| expiry.min(renewal));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept {
            token: token.clone(),
            good_until,
        });
        Ok(token)
    }

    fn kept_token(&self, now: SystemTime, refused: Option<&str>) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()
            .filter(|kept| now < kept.good_until && refused != Some(kept.token.as_str()))
            .map(|kept| kept.token.clone())
    }
}

/// Signs a token.
///
/// Only the nine query parameters that clusters allow may be in it: a presigned request of the SDK brings `x-id` as a
/// tenth.
fn sign_token(credentials: &Credentials, region: &str, cluster: &str, now: SystemTime) -> Result<String> {
    let defect = |error: &dyn std::error::Error| {
        Error::new(
            ErrorName::Defect,
            format!("token for cluster {cluster}: {}", with_sources(error)),
        )
    };
    let url = format!("https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| defect(&error))?
        .into();
    let headers = std::iter::once((CLUSTER_HEADER, cluster));
    let signable = SignableRequest::new("GET", url.as_str(), headers, SignableBody::empty())
        .map_err(|error| defect(&error))?;
    let (instructions, _) = sign(signable, &params)
        .map_err(|error| defect(&error))?
        .into_parts();
    let mut request = http::Request::get(url).body(()).map_err(|error| defect(&error))?;
    instructions.apply_to_request_http1x(&mut request);
    let token = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()));
    if token.len() > LONGEST_TOKEN {
        return Err(Error::new(
            ErrorName::Defect,
            format!(
                "token for cluster {cluster}: {} bytes, clusters accept {LONGEST_TOKEN}",
                token.len()
            ),
        ));
    }
    Ok(token)
}
