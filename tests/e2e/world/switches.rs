//! What a test can make go wrong.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use super::{World, place};

/// Something of the whole world that is away; it comes back when this is dropped.
pub(crate) struct Outage(Option<Box<dyn FnOnce() + Send>>);

impl Outage {
    /// Ends the outage.
    pub(crate) fn end(mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Sends a request without the test's runtime, so that it works while a test is failing too.
fn post(url: &str) {
    let sent = Command::new("curl")
        .args(["-sf", "-X", "POST", url])
        .output()
        .expect("curl");
    assert!(
        sent.status.success(),
        "POST {url}: {}",
        String::from_utf8_lossy(&sent.stdout)
    );
}

fn api_server(command: &str) {
    let tools = PathBuf::from(env::var("TIDEGATE_TOOLS").expect("TIDEGATE_TOOLS"));
    let local = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../infra/local");
    let done = Command::new(tools.join("bin/python3"))
        .args(["-m", "world", "apiserver", command])
        .env("PYTHONPATH", local)
        .output()
        .expect("python3");
    assert!(
        done.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Calls the API server as a person does; the test ends when the call fails.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let done = Command::new("kubectl").args(arguments).output().expect("kubectl");
    assert!(
        done.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Applies an object server-side, as a person does.
pub(crate) fn kubectl_apply(object: &str, options: &[&str]) {
    let file = place("applied.json");
    fs::write(&file, object).expect("a file");
    let path = file.to_string_lossy().into_owned();
    kubectl(&[&["apply", "--server-side", "-f", &path][..], options].concat());
}

/// The digest of a file of the under store; none where there is none.
pub(crate) fn under_store_file(path: &str) -> Option<String> {
    let file = place("ufs").join(path.trim_start_matches('/'));
    if !file.exists() {
        return None;
    }
    let done = Command::new("sha256sum").arg(&file).output().expect("sha256sum");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    told.split_whitespace().next().map(ToOwned::to_owned)
}

/// Somebody has put a file where a directory of Alluxio would be, so that nothing below it can be persisted.
pub(crate) fn under_store_holds_a_file(name: &str) {
    fs::write(place("ufs").join(name), "in the way").expect("a file of the under store");
}

fn ask_aws(arguments: &[&str]) -> Output {
    // Version 1 of the CLI heeds the variable for every service but SQS, and the option for all.
    let endpoint = env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL");
    Command::new("aws")
        .args(arguments)
        .args(["--output", "json", "--endpoint-url", &endpoint])
        .output()
        .expect("aws")
}

/// Calls AWS where it must refuse; answers what it says.
pub(crate) fn aws_refuses(arguments: &[&str]) -> String {
    let done = ask_aws(arguments);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        !done.status.success(),
        "aws {arguments:?}: {}",
        String::from_utf8_lossy(&done.stdout)
    );
    told
}

/// Calls AWS as a person does; the test ends when the call fails.
pub(crate) fn aws(arguments: &[&str]) -> Value {
    let done = ask_aws(arguments);
    assert!(
        done.status.success(),
        "aws {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// The rules have no right to start executions: their events go to the dead-letter queue.
pub(crate) fn rules_may_not_start() -> Outage {
    const POLICY: &str = "start-execution";
    let targets = aws(&[
        "events",
        "list-targets-by-rule",
        "--rule",
        "tidegate-node-terminating",
    ]);
    let arn = targets["Targets"][0]["RoleArn"].as_str().expect("RoleArn");
    let role = arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let on_role = ["--role-name", &role, "--policy-name", POLICY];
    let policy = aws(&[&["iam", "get-role-policy"][..], &on_role].concat());
    let document = policy["PolicyDocument"].to_string();
    aws(&[&["iam", "delete-role-policy"][..], &on_role].concat());
    Outage(Some(Box::new(move || {
        let on_role = ["--role-name", &role, "--policy-name", POLICY];
        let with = ["--policy-document", &document];
        aws(&[&["iam", "put-role-policy"][..], &on_role, &with].concat());
    })))
}

impl World {
    /// The under store refuses writes.
    pub(crate) fn under_store_refuses(&self) -> Outage {
        let url = format!("{}/under-store?writes=", self.endpoints.alluxio_control);
        post(&format!("{url}refused"));
        Outage(Some(Box::new(move || post(&format!("{url}accepted")))))
    }

    /// The service of the Alluxio masters leads there, or nowhere.
    pub(crate) fn masters_led_to(endpoints: &Value) -> Outage {
        let slice = ["-n", "alluxio", "endpointslice", "alluxio-master-world"];
        let before = kubectl(&[&["get", "-o", "json"][..], &slice].concat());
        let before: Value = serde_json::from_str(&before).expect("JSON");
        let before = before["endpoints"].to_string();
        let patch = move |endpoints: &str| {
            let patch = format!(r#"{{"endpoints": {endpoints}}}"#);
            kubectl(&[&["patch", "--type", "merge", "--patch", &patch][..], &slice].concat());
        };
        patch(&endpoints.to_string());
        Outage(Some(Box::new(move || patch(&before))))
    }

    /// The API server is away: connections are refused.
    pub(crate) fn api_server_away() -> Outage {
        api_server("stop");
        Outage(Some(Box::new(|| api_server("start"))))
    }

    /// The Alluxio master dies and is started again; it forgets who is decommissioned.
    pub(crate) async fn restart_alluxio_master(&self) {
        self.ask(
            Method::POST,
            &format!("{}/master/restart", self.endpoints.alluxio_control),
            &[("signal", "KILL")],
        )
        .await;
    }

    /// A container of a node is killed; its kubelet starts it again.
    pub(crate) async fn kill_container(&self, instance: &str, container: &str) {
        let url = format!(
            "{}/nodes/{instance}/containers/{container}",
            self.endpoints.nodes_control
        );
        self.ask(Method::POST, &url, &[("signal", "KILL")]).await;
    }

    /// Everything of a node dies; EC2 still says that the instance runs.
    pub(crate) async fn crash(&self, instance: &str) {
        self.ask(
            Method::POST,
            &format!("{}/nodes/{instance}/crash", self.endpoints.nodes_control),
            &[],
        )
        .await;
    }

    /// The kubelet of a node neither speaks nor hears any more; its containers run on.
    pub(crate) async fn freeze(&self, instance: &str) {
        self.ask(
            Method::POST,
            &format!("{}/nodes/{instance}/freeze", self.endpoints.nodes_control),
            &[],
        )
        .await;
    }

    /// AWS Health names instances that AWS acts on in so many days.
    pub(crate) async fn scheduled_change(&self, instances: &[&str], in_days: f64) {
        let url = format!("{}/local-api/warnings/health", self.endpoints.aws);
        let body = json!({"instanceIds": instances, "inDays": in_days});
        let answer = self.http.post(&url).json(&body).send().await.expect("the switch");
        assert!(answer.status().is_success(), "{url} {body}");
    }

    /// EC2 or AWS Health warns of instances: `spot` or `capacity`, after so many seconds of which they are gone,
    /// `rebalance` or `store`.
    pub(crate) async fn warn(&self, kind: &str, instances: &[&str], after_seconds: u64) {
        let url = format!("{}/local-api/warnings/{kind}", self.endpoints.aws);
        let body = json!({"instanceIds": instances, "afterSeconds": after_seconds});
        let answer = self.http.post(&url).json(&body).send().await.expect("the switch");
        assert!(answer.status().is_success(), "{url} {body}");
    }

    /// EC2 tells that the instance shuts down; it does not.
    pub(crate) async fn shuts_down(&self, instance: &str) {
        let url = format!("{}/local-api/events", self.endpoints.aws);
        let body = json!({"put": {
            "source": "aws.ec2",
            "detail-type": "EC2 Instance State-change Notification",
            "resources": [format!("arn:aws:ec2:{}:123456789012:instance/{instance}", self.endpoints.region)],
            "detail": {"instance-id": instance, "state": "shutting-down"},
        }});
        let answer = self.http.post(&url).json(&body).send().await.expect("the switch");
        assert!(answer.status().is_success(), "{body}");
    }

    /// Each lifecycle event of that group is delivered twice.
    pub(crate) async fn deliver_twice(&self, group: &str) {
        let pattern = json!({"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [group]}});
        let url = format!("{}/local-api/events", self.endpoints.aws);
        let body = json!({"duplicate": true, "pattern": pattern});
        let answer = self.http.post(&url).json(&body).send().await.expect("the switch");
        assert!(answer.status().is_success());
    }

    /// The next call of a function is killed after so many milliseconds.
    pub(crate) async fn kill_next_call(&self, function: &str, after_millis: u64) {
        let url = format!(
            "{}/local-api/lambda/tidegate-{function}/kill-next",
            self.endpoints.aws
        );
        let answer = self
            .http
            .post(&url)
            .json(&json!({"afterMillis": after_millis}))
            .send()
            .await
            .expect("the switch");
        assert!(answer.status().is_success());
    }
}
