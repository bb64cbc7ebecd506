//! Drift checks, and what somebody breaks by hand for them to find.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Execution, Machine, World};

/// How a drift check ended.
#[derive(Debug)]
pub(crate) struct Check(pub(crate) Execution);

impl Check {
    /// The finding of that kind about that subject; none where there is none.
    pub(crate) fn finding(&self, kind: &str, subject: &str) -> Option<&Value> {
        let findings = self.0.output["findings"].as_array()?;
        findings.iter().find(|finding| {
            finding["kind"] == kind && finding["subject"].as_str().is_some_and(|s| s.contains(subject))
        })
    }

    /// Fails unless it found that, and did something that begins so; answers the finding.
    pub(crate) fn expect(&self, kind: &str, subject: &str, done: &str) -> &Value {
        let found = self.finding(kind, subject);
        let finding =
            found.unwrap_or_else(|| panic!("no {kind} about {subject}: {}", self.0.output["table"]));
        let told = finding["done"].as_str().unwrap_or_default();
        assert!(
            told.starts_with(done),
            "{kind}: {told:?} does not begin with {done:?}: {finding:#}"
        );
        finding
    }
}

impl World {
    /// Starts a drift check by hand and waits for its end.
    pub(crate) async fn check(&self, input: &Value) -> Check {
        let ended = self.run(Machine::Check, input, 90).await;
        assert_eq!(ended.status, "SUCCEEDED", "{ended:#?}");
        Check(ended)
    }

    /// A check that sets one kind right.
    pub(crate) async fn repair(&self, kind: &str) -> Check {
        self.check(&json!({ "repair": [kind] })).await
    }

    /// Waits for the end of the newest repair of that instance, which must come to that outcome.
    pub(crate) async fn ended_for_repair(&self, machine: Machine, instance: &str, outcome: &str) {
        let executions = self.executions_for(machine, instance).await;
        let repair = executions.iter().rev().find(|arn| arn.contains(":drift-"));
        let repair = repair.unwrap_or_else(|| panic!("no repair among {executions:?}"));
        self.ended(repair, 180).await.expect(outcome);
    }

    /// How many checks have begun.
    pub(crate) async fn checks_begun(&self) -> usize {
        self.all(Machine::Check).await.len()
    }

    /// The time of a schedule has come.
    pub(crate) async fn schedule_fires(&self, schedule: &str) {
        let url = format!("{}/local-api/schedules/{schedule}/fire", self.endpoints.aws);
        self.ask(Method::POST, &url, &[]).await;
    }

    /// No lifecycle event of that group is delivered from now on.
    pub(crate) async fn lose_events(&self, group: &str) {
        let pattern = json!({"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [group]}});
        self.faults(&json!({"drop": true, "pattern": pattern})).await;
    }

    /// No change of an instance's state is delivered from now on.
    pub(crate) async fn lose_state_changes(&self) {
        let pattern =
            json!({"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]});
        self.faults(&json!({"drop": true, "pattern": pattern})).await;
    }

    /// Events are delivered again.
    pub(crate) async fn lose_no_more_events(&self) {
        self.faults(&json!({"reset": true})).await;
    }

    async fn faults(&self, body: &Value) {
        let url = format!("{}/local-api/events", self.endpoints.aws);
        let answer = self.http.post(&url).json(body).send().await.expect("the switch");
        assert!(answer.status().is_success(), "{body}");
    }

    /// Changes an instance's node, as `kubectl` does.
    pub(crate) async fn patch_node(&self, instance: &str, patch: &Value) {
        let (node, _) = self.node_address(instance).await;
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let patched = nodes
            .patch(&node, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.expect("the node is patched");
    }

    /// An annotation of an instance's node.
    pub(crate) async fn annotation(&self, instance: &str, name: &str) -> Option<String> {
        self.node(instance).await?.metadata.annotations?.remove(name)
    }

    /// A signal to the containers of a node that have that name.
    pub(crate) async fn signal(&self, instance: &str, container: &str, signal: &str) {
        let nodes = &self.endpoints.nodes_control;
        let url = format!("{nodes}/nodes/{instance}/containers/{container}");
        self.ask(Method::POST, &url, &[("signal", signal)]).await;
    }

    /// A mounted disk of a node is gone.
    pub(crate) async fn lose_disk(&self, instance: &str, disk: u32) {
        let url = format!("{}/nodes/{instance}/disks/{disk}", self.endpoints.nodes_control);
        self.ask(Method::POST, &url, &[("fault", "lost")]).await;
    }

    /// Makes a volume.
    pub(crate) async fn make_volume(&self, volume: Value) {
        let volumes: Api<PersistentVolume> = Api::all(self.kube.clone());
        let volume = serde_json::from_value(volume).expect("a volume");
        volumes
            .create(&PostParams::default(), &volume)
            .await
            .expect("the volume is taken");
    }

    /// Whether there is a volume of that name.
    pub(crate) async fn has_volume(&self, name: &str) -> bool {
        let volumes: Api<PersistentVolume> = Api::all(self.kube.clone());
        volumes.get_opt(name).await.expect("an answer").is_some()
    }

    /// The claims of the workers' namespace.
    pub(crate) fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.kube.clone(), "alluxio")
    }

    /// The workers' `DaemonSet`s.
    pub(crate) fn daemon_sets(&self) -> Api<DaemonSet> {
        Api::namespaced(self.kube.clone(), "alluxio")
    }

    /// `aws ARGUMENTS`; answers what it prints.
    pub(crate) fn aws(&self, arguments: &[&str]) -> String {
        let tools = PathBuf::from(env::var("TIDEGATE_TOOLS").expect("TIDEGATE_TOOLS"));
        let done = Command::new(tools.join("bin/aws"))
            .args(["--endpoint-url", &self.endpoints.aws, "--output", "text"])
            .args(arguments)
            .output()
            .expect("aws");
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}
