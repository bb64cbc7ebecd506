//! The token by which a role logs in to an EKS cluster: a presigned `GetCallerIdentity`, which the cluster sends to
//! STS to learn who signed it. <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableCredentialsProvider;
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
const EXPIRES: Duration = Duration::from_mins(1);
/// A token is good for 15 minutes; renewed this early, it outlives the longest call of a function and a clock that is
/// a minute off. Renewing it for every request would cost the cluster a call of STS each time.
const RENEWED_AFTER: Duration = Duration::from_mins(13);
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
    /// The login at the cluster of that name in that region, with the credentials of the environment: those of the
    /// function's role, which live as long as its process. No other source is asked, and so no HTTP client is needed.
    #[must_use]
    pub fn from_environment(region: &str, cluster: &str) -> Self {
        let credentials = EnvironmentVariableCredentialsProvider::new();
        Self::new(SharedCredentialsProvider::new(credentials), region, cluster)
    }

    fn new(credentials: SharedCredentialsProvider, region: &str, cluster: &str) -> Self {
        Self {
            credentials,
            region: region.into(),
            cluster: cluster.into(),
            kept: Arc::default(),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// 2026-01-02T03:04:05Z.
    const NOW: u64 = 1_767_323_045;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn credentials(session_token: Option<&str>, expiry: Option<SystemTime>) -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token.map(str::to_owned),
            expiry,
            "test",
        )
    }

    /// Counts how often credentials are asked for, and gives the secret that number.
    #[derive(Debug, Default)]
    struct Rotating {
        asked: AtomicU32,
        expiry: Option<SystemTime>,
    }

    impl ProvideCredentials for Rotating {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(Ok(Credentials::new(
                "AKIDEXAMPLE",
                asked.to_string(),
                None,
                self.expiry,
                "test",
            )))
        }
    }

    fn login(expiry: Option<SystemTime>) -> EksLogin {
        let credentials = Rotating {
            expiry,
            ..Rotating::default()
        };
        EksLogin::new(
            SharedCredentialsProvider::new(credentials),
            "us-west-2",
            "tidegate",
        )
    }

    fn url_of(token: &str) -> String {
        let encoded = token.strip_prefix("k8s-aws-v1.").expect("the prefix");
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).expect("unpadded base64url")).expect("text")
    }

    fn parameters(url: &str) -> Vec<(&str, &str)> {
        let (_, query) = url.split_once('?').expect("a query");
        query.split('&').filter_map(|pair| pair.split_once('=')).collect()
    }

    #[test]
    fn a_token_is_a_presigned_request_with_the_parameters_that_clusters_allow_and_no_other() {
        let credentials = credentials(Some("session/token+with=signs"), None);
        let token = sign_token(&credentials, "us-west-2", "tidegate", at(NOW)).expect("signed");
        let url = url_of(&token);
        assert!(url.starts_with("https://sts.us-west-2.amazonaws.com/?"), "{url}");
        let mut parameters = parameters(&url);
        parameters.sort_unstable();
        assert_eq!(
            parameters,
            [
                ("Action", "GetCallerIdentity"),
                ("Version", "2011-06-15"),
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                (
                    "X-Amz-Credential",
                    "AKIDEXAMPLE%2F20260102%2Fus-west-2%2Fsts%2Faws4_request"
                ),
                ("X-Amz-Date", "20260102T030405Z"),
                ("X-Amz-Expires", "60"),
                ("X-Amz-Security-Token", "session%2Ftoken%2Bwith%3Dsigns"),
                (
                    "X-Amz-Signature",
                    "e1e97decde1cbdb008dc1e3e5576917c94f379267b48244e10cc01b6de0959f7"
                ),
                ("X-Amz-SignedHeaders", "host%3Bx-k8s-aws-id"),
            ]
        );
    }

    /// The expected signature, like the one above, is what botocore's `RequestSigner.generate_presigned_url` makes of
    /// the same request, which is what `aws eks get-token` sends.
    #[test]
    fn without_a_session_the_signature_is_the_one_that_the_aws_cli_makes() {
        let token = sign_token(&credentials(None, None), "us-west-2", "tidegate", at(NOW)).expect("signed");
        let url = url_of(&token);
        let parameters = parameters(&url);
        assert!(parameters.contains(&(
            "X-Amz-Signature",
            "7eece086d34ce1ef066d59f59533ac0f36219e90b7a8637bc7e3ac719e3746b5"
        )));
        assert!(
            !parameters.iter().any(|(name, _)| *name == "X-Amz-Security-Token"),
            "{parameters:?}"
        );
    }

    #[test]
    fn a_token_that_clusters_would_not_accept_for_its_length_is_a_defect() {
        let long = "x".repeat(4_000);
        let error = sign_token(&credentials(Some(&long), None), "us-west-2", "tidegate", at(NOW))
            .expect_err("too long");
        assert_eq!(error.name, ErrorName::Defect);
    }

    #[tokio::test]
    async fn a_token_is_kept_for_thirteen_minutes() {
        let login = login(None);
        let first = login.token_at(at(NOW), None).await.expect("a token");
        let later = login.token_at(at(NOW + 779), None).await.expect("a token");
        assert_eq!(first, later);
        let renewed = login.token_at(at(NOW + 780), None).await.expect("a token");
        assert_ne!(first, renewed);
    }

    #[tokio::test]
    async fn a_token_is_renewed_when_the_credentials_behind_it_expire() {
        let login = login(Some(at(NOW + 100)));
        let first = login.token_at(at(NOW), None).await.expect("a token");
        assert_eq!(login.token_at(at(NOW + 99), None).await, Ok(first.clone()));
        assert_ne!(login.token_at(at(NOW + 100), None).await, Ok(first));
    }

    #[tokio::test]
    async fn a_refused_token_is_not_answered_again() {
        let login = login(None);
        let first = login.token_at(at(NOW), None).await.expect("a token");
        let second = login.token_at(at(NOW), Some(&first)).await.expect("a token");
        assert_ne!(first, second);
        assert_eq!(
            login.token_at(at(NOW), Some(&first)).await,
            Ok(second),
            "a second refusal of the first token says nothing of the second"
        );
    }
}
