//! What Auto Scaling gets when the cluster, or Alluxio, answers, fails or is silent.

#![allow(clippy::expect_used, reason = "part of tests")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use choose_victims::ChooseVictims;
use serde_json::{Value, json};
use tidegate_domain::cache::{Worker, WorkerState};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::node::Node;
use tidegate_domain::ports::WorkerReport;
use tidegate_domain::victims::{CandidateNodes, Request};
use tidegate_lambda::Serve;

/// How a neighbour behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    Fails,
    Silent,
}

impl Mood {
    async fn answer<T>(self, answer: T) -> Result<T> {
        match self {
            Self::Answers => Ok(answer),
            Self::Fails => Err(Error::new(ErrorName::KubernetesUnavailable, "it is away")),
            Self::Silent => std::future::pending().await,
        }
    }
}

struct Cluster(Mood);

impl CandidateNodes for Cluster {
    async fn candidate_nodes(&self, request: &Request) -> Result<Vec<Node>> {
        let nodes = request.instances.iter().enumerate().map(|(at, candidate)| Node {
            provider_id: format!("aws:///us-west-2a/{}", candidate.instance_id),
            internal_ip: Some(format!("10.0.0.{at}")),
            ..Node::default()
        });
        self.0.answer(nodes.collect()).await
    }
}

struct Master(Mood);

impl WorkerReport for Master {
    async fn every_worker(&self) -> Result<Vec<Worker>> {
        let worker = |(at, used_bytes)| Worker {
            host: format!("10.0.0.{at}"),
            address: String::new(),
            rpc_port: 29_999,
            web_port: 30_000,
            state: WorkerState::Live,
            capacity_bytes: 100,
            used_bytes,
            last_contact_seconds: 0,
        };
        self.0
            .answer([90, 10].into_iter().enumerate().map(worker).collect())
            .await
    }
}

fn payload() -> Value {
    let instance = |id: &str| {
        json!({"AvailabilityZone": "us-west-2a", "InstanceId": id, "InstanceType": "m5d.4xlarge",
               "InstanceMarketOption": "on-demand"})
    };
    json!({
        "AutoScalingGroupARN": "arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:1:autoScalingGroupName/nvme",
        "AutoScalingGroupName": "nvme",
        "CapacityToTerminate": [{"AvailabilityZone": "us-west-2a", "Capacity": 1, "InstanceMarketOption": "on-demand"}],
        "Instances": [instance("i-0000000a"), instance("i-0000000b")],
        "Cause": "SCALE_IN",
    })
}

/// What the log tells, and what Auto Scaling gets.
async fn asked(cluster: Mood, master: Mood) -> (Value, Value) {
    let function = ChooseVictims::new(async || Ok((Cluster(cluster), Master(master))));
    let reply = function.serve(payload()).await.expect("an answer");
    let sent = function.sent(reply.answer.clone());
    (reply.answer, sent)
}

#[tokio::test]
async fn auto_scaling_gets_the_instances_and_nothing_else() {
    let (told, sent) = asked(Mood::Answers, Mood::Answers).await;
    assert_eq!(sent, json!({"InstanceIDs": ["i-0000000b"]}));
    assert_eq!(told["outcome"], "chosen");
}

#[tokio::test]
async fn what_cannot_be_seen_leaves_the_choice_to_the_group_and_says_why() {
    for (cluster, master, field) in [
        (Mood::Fails, Mood::Answers, "nodesUnseen"),
        (Mood::Answers, Mood::Fails, "workersUnseen"),
    ] {
        let (told, sent) = asked(cluster, master).await;
        assert_eq!(sent, json!({"InstanceIDs": ["i-0000000a", "i-0000000b"]}));
        assert_eq!(told["outcome"], "unseen");
        assert_eq!(told[field], "it is away");
    }
}

#[tokio::test]
async fn a_neighbour_that_is_silent_is_not_waited_for_longer_than_a_second() {
    for (cluster, master) in [
        (Mood::Silent, Mood::Answers),
        (Mood::Answers, Mood::Silent),
        (Mood::Silent, Mood::Silent),
    ] {
        let began = Instant::now();
        let (told, _) = asked(cluster, master).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(told["outcome"], "unseen");
    }
}

#[tokio::test]
async fn a_cluster_that_could_not_be_reached_is_tried_again_and_then_kept() {
    let attempts = Cell::new(0);
    let connect = async || {
        attempts.set(attempts.get() + 1);
        if attempts.get() > 2 {
            Ok((Cluster(Mood::Answers), Master(Mood::Answers)))
        } else {
            Err(Error::new(ErrorName::AwsUnavailable, "no endpoint yet"))
        }
    };
    let function = ChooseVictims::new(connect);
    function.warm_up().await;
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let reply = function.serve(payload()).await.expect("an answer");
        outcomes.push(reply.outcome().to_owned());
    }
    assert_eq!(outcomes, ["unseen", "chosen", "chosen"]);
    assert_eq!(attempts.get(), 3);
}

#[tokio::test]
async fn a_connection_that_is_silent_takes_its_time_from_the_look_at_nodes_and_workers() {
    let connect = async || std::future::pending::<Result<(Cluster, Master)>>().await;
    let function = ChooseVictims::new(connect);
    let began = Instant::now();
    let reply = function.serve(payload()).await.expect("an answer");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    for field in ["nodesUnseen", "workersUnseen"] {
        assert_eq!(reply.answer[field], "no answer within 800 ms");
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_an_error_so_that_nothing_is_ended() {
    let function = ChooseVictims::new(async || Ok((Cluster(Mood::Answers), Master(Mood::Answers))));
    let error = function
        .serve(json!({"Instances": []}))
        .await
        .expect_err("unreadable");
    assert_eq!(error.name, ErrorName::InvalidInput);
}
