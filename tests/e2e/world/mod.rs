//! The local world, as a test sees it.

mod autoscaler;
mod checks;
mod cluster;
mod executions;
mod files;
mod group;
mod spark;
mod switches;

pub(crate) use autoscaler::ClusterAutoscaler;
pub(crate) use executions::{Execution, Machine};
pub(crate) use files::WriteType;
pub(crate) use group::{Group, ONE_ARRAY, ONE_DISK, TWO_DISKS, WITHOUT_DISKS};
pub(crate) use spark::{Job, Placed, sample};
pub(crate) use switches::{
    aws, aws_refuses, kubectl, kubectl_apply, rules_may_not_start, under_store_file, under_store_holds_a_file,
};

use std::env;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_sdk_autoscaling::config::{Credentials, Region};
use serde::Deserialize;

/// Between two looks at something that a test waits for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// A file or folder of the world's own directory.
fn place(name: &str) -> PathBuf {
    let endpoints = env::var("TIDEGATE_WORLD_ENDPOINTS").expect("TIDEGATE_WORLD_ENDPOINTS");
    Path::new(&endpoints).with_file_name(name)
}

/// Where the parts of the world are (`endpoints.json`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    pub(crate) aws: String,
    pub(crate) alluxio_control: String,
    pub(crate) nodes_control: String,
    pub(crate) files: String,
    pub(crate) region: String,
    pub(crate) cluster_name: String,
    pub(crate) subnets: Vec<String>,
}

/// The world, with a client for each part.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) endpoints: Endpoints,
    pub(crate) http: reqwest::Client,
    pub(crate) autoscaling: aws_sdk_autoscaling::Client,
    pub(crate) sfn: aws_sdk_sfn::Client,
    pub(crate) kube: kube::Client,
}

impl World {
    /// The world that `TIDEGATE_WORLD_ENDPOINTS` and `KUBECONFIG` name.
    pub(crate) async fn connect() -> Self {
        let path = env::var("TIDEGATE_WORLD_ENDPOINTS")
            .expect("TIDEGATE_WORLD_ENDPOINTS is not set: run `make up` and `eval \"$(make -s env)\"`, or `make test`");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let endpoints: Endpoints = serde_json::from_str(&text).expect("endpoints.json");
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&endpoints.aws)
            .region(Region::new(endpoints.region.clone()))
            .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
            .load()
            .await;
        Self {
            http: reqwest::Client::new(),
            autoscaling: aws_sdk_autoscaling::Client::new(&aws),
            sfn: aws_sdk_sfn::Client::new(&aws),
            kube: kube::Client::try_default()
                .await
                .expect("KUBECONFIG names the world's cluster"),
            endpoints,
        }
    }

    /// Asks a part of the world over HTTP; the answer is JSON.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        url: &str,
        query: &[(&str, &str)],
    ) -> serde_json::Value {
        let answer = self
            .http
            .request(method, url)
            .query(query)
            .send()
            .await
            .expect(url);
        let status = answer.status();
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        assert!(status.is_success(), "{url} {query:?}: {status} {body}");
        body
    }
}

/// Looks until `look` finds something; fails with `what` and the last thing that it said otherwise.
pub(crate) async fn eventually<T, E: Debug>(
    seconds: u64,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) if began.elapsed() > Duration::from_secs(seconds) => {
                panic!("after {seconds} s still not: {what}; last seen: {last:?}")
            }
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}
