use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use tidegate_domain::error::Result;
use tower::BoxError;

type Source = dyn Fn(Option<String>) -> BoxFuture<'static, Result<String>> + Send + Sync;

/// Writes a bearer token on each request.
pub(crate) struct Login {
    source: Box<Source>,
    last: Mutex<Last>,
}

/// The token that was used last.
#[derive(Default)]
struct Last {
    token: Option<String>,
    refused: bool,
}

impl Login {
    pub(crate) fn new<F>(source: impl Fn(Option<String>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        Self {
            source: Box::new(move |refused| Box::pin(source(refused))),
            last: Mutex::default(),
        }
    }

    /// The API server has answered 401 to the last token.
    pub(crate) fn refused(&self) {
        self.last().refused = true;
    }

    pub(crate) async fn authorize<B>(
        self: Arc<Self>,
        mut request: http::Request<B>,
    ) -> std::result::Result<http::Request<B>, BoxError> {
        let refused = {
            let mut last = self.last();
            if std::mem::take(&mut last.refused) {
                last.token.take()
            } else {
                None
            }
        };
        let token = (self.source)(refused).await?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))?;
        header.set_sensitive(true);
        self.last().token = Some(token);
        request.headers_mut().insert(AUTHORIZATION, header);
        Ok(request)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
