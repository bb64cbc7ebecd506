//! Launches that fail one after the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use judge_launch::JudgeLaunch;
use serde_json::{Value, json};
use tidegate_domain::error::Result;
use tidegate_domain::launches::{EndedJoin, EndedJoins, LaunchTemplates, ListedJoin, Patience};
use tidegate_domain::outcome::VolumesOutcome;
use tidegate_domain::ports::Clock;
use tidegate_domain::subject::InstanceId;
use tidegate_lambda::Serve;

use crate::account::{Account, by_hand};
use crate::answers::volumes;
use crate::ending::Ending;
use crate::join::{join, launch, never_a_node};
use crate::scene::{Asked, Scene, began};
use crate::walker::{Reply, STATE_MACHINE};

const LIMIT: u32 = 3;

/// What executions before this one ended with, the newest last.
#[derive(Clone, Default)]
struct History {
    outputs: Rc<RefCell<Vec<Value>>>,
    template: &'static str,
}

impl EndedJoins for History {
    async fn ended_joins(&self, machine: &str, most: usize) -> Result<Vec<ListedJoin>> {
        assert_eq!(machine, STATE_MACHINE);
        let listed = (0..self.outputs.borrow().len()).rev().take(most);
        Ok(listed
            .map(|index| ListedJoin {
                arn: index.to_string(),
                ended_at: began(),
            })
            .collect())
    }

    async fn ended_join(&self, arn: &str) -> Result<Option<EndedJoin>> {
        let index: usize = arn.parse().expect("an index");
        let output = self.outputs.borrow()[index].clone();
        Ok(serde_json::from_value(output).ok())
    }
}

impl LaunchTemplates for History {
    async fn launch_template(&self, _: &InstanceId) -> Result<Option<String>> {
        Ok(Some(self.template.to_owned()))
    }
}

impl Clock for History {
    fn now(&self) -> Timestamp {
        began()
    }

    async fn sleep(&self, _: Duration) {}
}

impl History {
    fn of(template: &'static str) -> Self {
        Self {
            template,
            ..Self::default()
        }
    }

    /// What `judge-launch` itself answers after that history.
    fn judges(&self, asked: &Asked) -> Reply {
        let function = JudgeLaunch {
            templates: self.clone(),
            joins: self.clone(),
            clock: self.clone(),
            patience: Patience {
                launches: LIMIT,
                seconds: 3_600,
            },
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let reply = runtime
            .block_on(function.serve(asked.payload.clone()))
            .expect("an answer");
        Reply {
            seconds: 1,
            result: Ok(json!({ "Payload": reply.answer })),
        }
    }

    /// Plays one launch more, and remembers what it ends with.
    fn play(&self, scene: Scene) -> Ending {
        let history = self.clone();
        let ending = scene
            .on("judge-launch", move |asked| history.judges(asked))
            .play();
        if let Ok(output) = &ending.result {
            self.outputs.borrow_mut().push(output.clone());
        }
        ending
    }
}

fn without_a_disk() -> Scene {
    launch().on("provision-volumes", |asked| {
        volumes(asked, VolumesOutcome::Unfit, "disk of 300 GB has no volume")
    })
}

/// Launches of which none has its disks: what the last of so many ends with.
fn failing(count: u32) -> Ending {
    let history = History::of("lt-1:7");
    for _ in 1..count {
        history.play(without_a_disk());
    }
    history.play(without_a_disk())
}

fn unseen() -> Ending {
    without_a_disk()
        .on("judge-launch", |asked| asked.fails("AwsRefused"))
        .play()
}

fn of_another_release() -> Ending {
    without_a_disk()
        .on("judge-launch", |_| Reply {
            seconds: 1,
            result: Ok(
                json!({ "Payload": { "outcome": "of-another-release", "reason": "x", "failure": {} } }),
            ),
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    vec![failing(1), failing(LIMIT + 1), unseen(), of_another_release()]
}

#[test]
fn the_first_launches_that_fail_are_abandoned() {
    for count in 1..=LIMIT {
        let ending = failing(count);
        ending.assert_outcome("abandoned", "disk of 300 GB has no volume");
        assert_eq!(ending.hook_results(), ["ABANDON"], "launch {count}");
    }
}

#[test]
fn after_some_that_failed_alike_one_is_kept() {
    let ending = failing(LIMIT + 1);
    ending.assert_outcome("stalled", "disk of 300 GB has no volume");
    ending.assert_outcome(
        "stalled",
        "the last 3 launches of group nvme-nodes (launch template lt-1:7)",
    );
    assert_eq!(
        ending.hook_results(),
        ["CONTINUE"],
        "the group counts it, and launches no other"
    );
}

#[test]
fn a_launch_that_joined_begins_the_count_anew() {
    let history = History::of("lt-1:7");
    for _ in 0..LIMIT {
        history.play(without_a_disk());
    }
    history.play(launch());
    history.play(without_a_disk()).assert_outcome("abandoned", "");
}

#[test]
fn a_new_launch_template_begins_the_count_anew() {
    let mut history = History::of("lt-1:7");
    for _ in 0..LIMIT {
        history.play(without_a_disk());
    }
    history.template = "lt-1:8";
    history.play(without_a_disk()).assert_outcome("abandoned", "");
}

#[test]
fn a_join_without_a_hook_asks_nobody() {
    let ending = join(by_hand(), Account::with_instance("InService"))
        .on("provision-volumes", |asked| {
            volumes(asked, VolumesOutcome::Unfit, "disk of 300 GB has no volume")
        })
        .play();
    ending.assert_outcome("abandoned", "");
    assert_eq!(ending.asked("judge-launch").len(), 0);
}

#[test]
fn what_is_not_known_abandons_nothing() {
    let ending = unseen();
    ending.assert_outcome("stalled", "AwsRefused");
    assert_eq!(ending.hook_results(), [""; 0], "the drift check takes it up");
}

#[test]
fn a_launch_that_joins_costs_no_look() {
    assert_eq!(launch().play().asked("judge-launch").len(), 0);
    assert_eq!(never_a_node().asked("judge-launch").len(), 1);
}
