//! The Spark job of `samples/spark`, as `python -m world.spark` runs it, and what workers say of its reads.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, eventually, place};

/// A file of the sample.
pub(crate) fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../samples/spark")
        .join(name)
}

/// A job that runs; it ends when this is dropped.
pub(crate) struct Job {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Job {
    /// `spark-submit samples/spark/readings.py ARGUMENTS`, with the settings beside it.
    pub(crate) fn submit(arguments: &[&str]) -> Self {
        let tools = PathBuf::from(env::var("TIDEGATE_TOOLS").expect("TIDEGATE_TOOLS"));
        let local = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../infra/local");
        let output = place("logs").join("spark-job.jsonl");
        let errors = place("logs").join("spark-driver.log");
        let child = Command::new(tools.join("bin/python3"))
            .args(["-m", "world.spark"])
            .arg(sample("readings.py"))
            .args(arguments)
            .env("PYTHONPATH", local)
            .stdin(Stdio::null())
            .stdout(File::create(&output).expect("the job's output"))
            .stderr(File::create(&errors).expect("the driver's log"))
            // Its executors are of it too.
            .process_group(0)
            .spawn()
            .expect("python3");
        Self {
            child,
            output,
            errors,
        }
    }

    /// The steps that the job has told of that name.
    fn told(&self, step: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        // The last line may be half written.
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["step"] == step)
            .collect()
    }

    /// Waits until the job has told so many of those steps.
    async fn tells(&mut self, step: &str, count: usize) {
        eventually(
            360,
            &format!("the job has told {count} times: {step}"),
            async || {
                let told = self.told(step).len();
                if told >= count {
                    return Ok(());
                }
                let ended = self.child.try_wait().expect("the job is a child");
                assert!(ended.is_none(), "the job has ended, {ended:?}: {}", self.log());
                Err(told)
            },
        )
        .await;
    }

    /// Waits until the readings are written.
    pub(crate) async fn has_written(&mut self) {
        self.tells("written", 1).await;
    }

    /// Waits for the end of a round that begins after this moment.
    pub(crate) async fn begins_and_ends_a_round(&mut self) {
        let ended = self.told("round").len();
        // The one that is under way, and the next.
        self.tells("round", ended + 2).await;
    }

    /// Waits for the job's end; fails unless each round's totals were right. What it said last.
    pub(crate) async fn ends_well(&mut self) -> Value {
        let status = eventually(120, "the end of the job", async || {
            let ended = self.child.try_wait().expect("the job is a child");
            ended.ok_or_else(|| self.told("round").len())
        })
        .await;
        assert!(status.success(), "{status:?}: {}", self.log());
        self.told("done").pop().expect("a last word")
    }

    /// How many attempts at tasks ended in which way, by Spark's own record.
    pub(crate) fn attempts() -> BTreeMap<String, usize> {
        let logs = fs::read_dir(place("spark/events")).expect("the event logs");
        let newest = logs
            .map(|log| log.expect("readable").path())
            .max_by_key(|path| fs::metadata(path).and_then(|log| log.modified()).ok());
        let text = fs::read_to_string(newest.expect("an event log")).expect("readable");
        let mut counted = BTreeMap::new();
        for line in text.lines().filter(|line| line.contains("SparkListenerTaskEnd")) {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            let reason = event["Task End Reason"]["Reason"].as_str().unwrap_or_default();
            *counted.entry(reason.to_owned()).or_default() += 1;
        }
        counted
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.child.id());
            Command::new("kill").args(["-KILL", "--", &group]).status().ok();
            self.child.wait().ok();
        }
    }
}

/// What workers have read for clients since they began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    pub(crate) cache: u64,
    pub(crate) under_store: u64,
}

impl Reads {
    /// What was read since an earlier look at workers that are still there.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cache: self.cache.saturating_sub(earlier.cache),
            under_store: self.under_store.saturating_sub(earlier.under_store),
        }
    }
}

impl World {
    /// What the workers on those hosts have read, by their own metrics.
    pub(crate) async fn reads(&self, hosts: &[String]) -> Reads {
        let mut reads = Reads::default();
        for host in hosts {
            let metrics = self
                .ask(Method::GET, &format!("http://{host}:30000/metrics/json/"), &[])
                .await;
            for (name, counter) in metrics["counters"].as_object().expect("counters") {
                let count = counter["count"].as_u64().unwrap_or_default();
                if name == "Worker.BytesReadCache" {
                    reads.cache += count;
                } else if name.starts_with("Worker.BytesReadPerUfs.") {
                    reads.under_store += count;
                }
            }
        }
        reads
    }

    /// How many files below a directory have blocks on the worker on that host.
    pub(crate) async fn files_below(&self, directory: &str, host: &str) -> usize {
        let url = format!("http://{host}:30000/api/v1/worker/webui_blockinfo");
        let page = self
            .ask(Method::GET, &url, &[("offset", "0"), ("limit", "1000")])
            .await;
        let files = page["fileInfos"].as_array().cloned().unwrap_or_default();
        let paths = files.iter().filter_map(|file| file["absolutePath"].as_str());
        paths.filter(|path| path.starts_with(directory)).count()
    }

    /// Takes the cached blocks of all files below a directory away, where the under store has them.
    pub(crate) async fn free(&self, directory: &str) {
        let url = format!("{}/files/free", self.endpoints.files);
        self.ask(Method::POST, &url, &[("path", directory)]).await;
    }

    /// How many bytes the under store has below a directory.
    pub(crate) fn bytes_in_under_store(directory: &str) -> u64 {
        let files = fs::read_dir(place("ufs").join(directory.trim_start_matches('/')));
        files
            .expect("a directory of the under store")
            .map(|file| file.and_then(|file| file.metadata()).expect("readable").len())
            .sum()
    }
}

/// What the scheduler does with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    There,
    Nowhere,
}

impl World {
    /// A node that is only in the API; kwok says that it is ready.
    pub(crate) async fn make_fake_node(&self, name: &str, labels: &[(&str, &str)], taints: &[&str]) {
        let mut labels: BTreeMap<_, _> = labels.iter().copied().collect();
        labels.insert("kubernetes.io/hostname", name);
        let taints: Vec<_> = taints
            .iter()
            .map(|key| json!({"key": key, "value": "joining", "effect": "NoSchedule"}))
            .collect();
        let room = json!({"cpu": "4", "memory": "16Gi", "pods": "10"});
        let node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "spec": {"taints": taints},
            "status": {"allocatable": room, "capacity": room},
        }));
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let made = nodes.create(&PostParams::default(), &node.expect("a node")).await;
        made.expect("the node is taken");
        eventually(30, &format!("node {name} is ready"), async || {
            let node = nodes.get(name).await.expect("the node");
            let conditions = node
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let ready = conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
            // Kubernetes' own go when it has seen that.
            if ready
                && !taints
                    .iter()
                    .any(|taint| taint.key.starts_with("node.kubernetes.io/"))
            {
                Ok(())
            } else {
                Err((conditions, taints))
            }
        })
        .await;
    }

    /// What the scheduler does with an executor that may run on that node and on no other.
    pub(crate) async fn place_executor(&self, node: &str) -> Placed {
        let text = fs::read_to_string(sample("executor-pod.yaml")).expect("executor-pod.yaml");
        let mut pod: Pod = serde_yaml_ng::from_str(&text).expect("a pod");
        let name = format!("executor-{node}");
        pod.metadata.name = Some(name.clone());
        let spec = pod.spec.as_mut().expect("a spec");
        spec.node_selector = Some([("kubernetes.io/hostname".to_owned(), node.to_owned())].into());
        let pods: Api<Pod> = Api::namespaced(self.kube.clone(), "default");
        let made = pods.create(&PostParams::default(), &pod).await;
        made.expect("the pod is taken");
        let placed = eventually(30, &format!("the scheduler has looked at {name}"), async || {
            let pod = pods.get(&name).await.expect("the pod");
            let conditions = pod
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let scheduled = conditions
                .into_iter()
                .find(|condition| condition.type_ == "PodScheduled")
                .ok_or("no condition")?;
            match (scheduled.status.as_str(), scheduled.reason.as_deref()) {
                ("True", _) => Ok(Placed::There),
                (_, Some("Unschedulable")) => Ok(Placed::Nowhere),
                _ => Err("undecided"),
            }
        })
        .await;
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete(&name, &at_once).await.expect("the pod is deleted");
        placed
    }
}
