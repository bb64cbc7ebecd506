//! Looks at a selection of objects, and watches it for a while.

use std::fmt::Debug;
use std::time::Duration;

use futures::TryStreamExt;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tidegate_domain::error::Result;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::errors::Asked;

/// Objects of one answer. The API server's own clients use the same.
const PAGE: u32 = 500;
/// Before a selection is listed again, as its watch has ended early: an API server that restarts must not be asked
/// in a tight loop.
const BEFORE_RELIST: Duration = Duration::from_millis(500);
/// kube refuses a watch of 295 s or more.
const LONGEST_WATCH_SECONDS: u64 = 290;

/// Which objects, told apart by the API server. Never empty: nothing is listed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The resource, as the access rules name it.
    pub(crate) resource: &'static str,
    /// Label selector.
    pub(crate) labels: Option<String>,
    /// Field selector.
    pub(crate) fields: Option<String>,
}

impl Selection {
    pub(crate) fn by_labels(resource: &'static str, labels: String) -> Self {
        Self {
            resource,
            labels: Some(labels),
            fields: None,
        }
    }

    const fn asked(&self, verb: &'static str) -> Asked {
        Asked {
            verb,
            resource: self.resource,
        }
    }
}

/// An object, reduced to what is needed of it.
pub(crate) struct Seen<T> {
    uid: String,
    view: T,
}

/// A type of objects: how one is read.
pub(crate) trait Resource: kube::Resource + Clone + DeserializeOwned + Debug {}

impl<K: kube::Resource + Clone + DeserializeOwned + Debug> Resource for K {}

/// How a watch ended.
enum Ended {
    /// There is no more to wait for.
    Enough,
    /// Time is up.
    InTime,
    /// Before its time: what was seen may have changed since.
    Early,
}

/// How long to look, and for what.
pub(crate) struct Until<'a, T> {
    /// Watches that long; zero looks once.
    pub(crate) within: Duration,
    /// Whether what is there is what was waited for.
    pub(crate) enough: &'a dyn Fn(&[T]) -> bool,
}

impl Cluster {
    /// The objects of a selection. `view` reduces an object to what is needed of it; none leaves it out.
    pub(crate) async fn look<K: Resource, T>(
        &self,
        api: &Api<K>,
        selection: &Selection,
        view: &dyn Fn(K) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let (seen, _) = self.list(api, selection, view).await?;
        Ok(views(seen))
    }

    /// The objects of a selection, watched until there are enough or time is up: one list and one watch, and more of
    /// them only where a watch ends early.
    pub(crate) async fn look_until<K: Resource, T>(
        &self,
        api: &Api<K>,
        selection: &Selection,
        until: Until<'_, T>,
        view: &dyn Fn(K) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let ends = Instant::now() + until.within;
        loop {
            let (seen, version) = self.list(api, selection, view).await?;
            let mut seen = Collected::from(seen);
            if (until.enough)(&seen.views) || until.within.is_zero() {
                return Ok(seen.views);
            }
            let ended = self
                .follow(api, selection, &version, ends, &mut seen, until.enough, view)
                .await?;
            match ended {
                Ended::Enough | Ended::InTime => return Ok(seen.views),
                Ended::Early if Instant::now() + BEFORE_RELIST >= ends => return Ok(seen.views),
                Ended::Early => tokio::time::sleep(BEFORE_RELIST).await,
            }
        }
    }

    async fn list<K: Resource, T>(
        &self,
        api: &Api<K>,
        selection: &Selection,
        view: &dyn Fn(K) -> Result<Option<T>>,
    ) -> Result<(Vec<Seen<T>>, String)> {
        let mut params = ListParams {
            label_selector: selection.labels.clone(),
            field_selector: selection.fields.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self
                .ask(selection.asked("list"), async || api.list(&params).await)
                .await?;
            for object in page.items {
                let uid = object.meta().uid.clone().unwrap_or_default();
                if let Some(view) = view(object)? {
                    all.push(Seen { uid, view });
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn follow<K: Resource, T>(
        &self,
        api: &Api<K>,
        selection: &Selection,
        version: &str,
        ends: Instant,
        seen: &mut Collected<T>,
        enough: &dyn Fn(&[T]) -> bool,
        view: &dyn Fn(K) -> Result<Option<T>>,
    ) -> Result<Ended> {
        let asked = selection.asked("watch");
        let left = ends.saturating_duration_since(Instant::now());
        let params = WatchParams {
            label_selector: selection.labels.clone(),
            field_selector: selection.fields.clone(),
            timeout: u32::try_from((left.as_secs() + 1).min(LONGEST_WATCH_SECONDS)).ok(),
            bookmarks: false,
            ..WatchParams::default()
        };
        let events = match self.send(async || api.watch(&params, version).await).await {
            Ok(events) => events,
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(Ended::Early),
            Err(error) => return Err(self.classify(asked, error)),
        };
        let mut events = std::pin::pin!(events);
        loop {
            let Ok(event) = tokio::time::timeout_at(ends, events.try_next()).await else {
                return Ok(Ended::InTime);
            };
            match event {
                Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    let uid = object.meta().uid.clone().unwrap_or_default();
                    seen.set(uid, view(object)?);
                }
                Ok(Some(WatchEvent::Deleted(object))) => {
                    seen.set(object.meta().uid.clone().unwrap_or_default(), None);
                }
                Ok(Some(WatchEvent::Bookmark(_))) => {}
                Ok(Some(WatchEvent::Error(status))) if status.code != 410 => {
                    return Err(self.classify(asked, kube::Error::Api(status)));
                }
                // Its resource version is too old, its connection broke, or the API server is going down.
                Ok(Some(WatchEvent::Error(_)) | None)
                | Err(kube::Error::ReadEvents(_) | kube::Error::HyperError(_)) => return Ok(Ended::Early),
                Err(error) => return Err(self.classify(asked, error)),
            }
            if enough(&seen.views) {
                return Ok(Ended::Enough);
            }
        }
    }
}

/// What was seen, and under which UID: a name may come back as another object.
struct Collected<T> {
    uids: Vec<String>,
    views: Vec<T>,
}

impl<T> From<Vec<Seen<T>>> for Collected<T> {
    fn from(seen: Vec<Seen<T>>) -> Self {
        let (uids, views) = seen.into_iter().map(|seen| (seen.uid, seen.view)).unzip();
        Self { uids, views }
    }
}

impl<T> Collected<T> {
    fn set(&mut self, uid: String, view: Option<T>) {
        let at = self.uids.iter().position(|found| *found == uid);
        match (at, view) {
            (Some(at), Some(view)) => self.views[at] = view,
            (None, Some(view)) => {
                self.uids.push(uid);
                self.views.push(view);
            }
            (Some(at), None) => {
                self.uids.remove(at);
                self.views.remove(at);
            }
            (None, None) => {}
        }
    }
}

fn views<T>(seen: Vec<Seen<T>>) -> Vec<T> {
    seen.into_iter().map(|seen| seen.view).collect()
}
