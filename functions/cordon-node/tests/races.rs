//! Several drains of one node at once, against an API server that refuses what was decided on an old view.

#![allow(clippy::expect_used, reason = "part of tests")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use cordon_node::CordonNode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::claim::Claim;
use tidegate_domain::error::Result;
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::ports::{Changed, Clock, Executions, Nodes, Run};
use tidegate_domain::subject::Subject;
use tidegate_lambda::Serve;

const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain";

/// One node, the executions that have ended, and who is kept waiting how long: by that an order of their calls is made.
#[derive(Default)]
struct World {
    node: RefCell<Option<Node>>,
    ended: RefCell<BTreeSet<String>>,
    drained: RefCell<BTreeSet<String>>,
    finds: Cell<u32>,
    delays: Cell<u64>,
    conflicts: Cell<u32>,
    questions: Cell<u32>,
}

impl World {
    /// A node that nobody has claimed; `seed` decides the order of what happens to it.
    fn with_node(seed: u64) -> Self {
        let world = Self::default();
        world.delays.set(seed);
        world.node.replace(Some(Node {
            name: "node-1".into(),
            resource_version: "1".into(),
            ..Node::default()
        }));
        world
    }

    /// Lets others go first, or not (xorshift: the same seed gives the same order).
    async fn delay(&self) {
        let mut next = self.delays.get().max(1);
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        self.delays.set(next);
        for _ in 0..next % 5 {
            tokio::task::yield_now().await;
        }
    }
}

impl Nodes for &World {
    async fn find(&self, _: &Subject, _: Duration) -> Result<Option<Node>> {
        self.finds.set(self.finds.get() + 1);
        self.delay().await;
        Ok(self.node.borrow().clone())
    }

    async fn change(&self, seen: &Node, change: &NodeChange) -> Result<Changed> {
        self.delay().await;
        let mut node = self.node.borrow_mut();
        let Some(node) = node.as_mut() else {
            return Ok(Changed::Gone);
        };
        if node.resource_version != seen.resource_version {
            self.conflicts.set(self.conflicts.get() + 1);
            return Ok(Changed::Conflict);
        }
        let written = change.annotations.iter();
        node.annotations
            .extend(written.filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?))));
        node.unschedulable |= change.cordon;
        node.resource_version.push('+');
        Ok(Changed::Done)
    }
}

impl Executions for &World {
    async fn run(&self, execution: &str) -> Result<Run> {
        self.questions.set(self.questions.get() + 1);
        self.delay().await;
        Ok(if self.drained.borrow().contains(execution) {
            Run::Succeeded("drained".to_owned())
        } else if self.ended.borrow().contains(execution) {
            Run::Over
        } else {
            Run::Running
        })
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}
}

fn arn(name: &str) -> String {
    format!("{MACHINE}:{name}")
}

/// What starts a drain.
#[derive(Clone, Copy)]
struct Trigger {
    name: &'static str,
    hook: bool,
    deadline: &'static str,
    terminate: bool,
}

/// An instance changes its state: nothing is wanted but the drain.
const STATE_CHANGE: Trigger = Trigger {
    name: "state-change",
    hook: false,
    deadline: "2026-11-23T11:00:01Z",
    terminate: false,
};
const SPOT: Trigger = Trigger {
    name: "spot",
    deadline: "2026-11-23T10:02:00Z",
    ..STATE_CHANGE
};
const TERMINATE_ACTION: Trigger = Trigger {
    name: "terminate-action",
    hook: true,
    ..STATE_CHANGE
};
const PERSON: Trigger = Trigger {
    name: "person",
    terminate: true,
    ..STATE_CHANGE
};

fn again(trigger: Trigger, name: &'static str) -> Trigger {
    Trigger { name, ..trigger }
}

fn call(trigger: Trigger) -> Value {
    let Trigger {
        name,
        hook,
        deadline,
        terminate,
    } = trigger;
    let hook = hook.then(|| {
        json!({"name": "tidegate-node-drain", "heartbeatSeconds": 300, "globalSeconds": 30_000, "defaultResult": "ABANDON"})
    });
    json!({
        "execution": arn(name),
        "startedAt": "2026-11-23T10:00:00Z",
        "deadline": deadline,
        "terminate": terminate,
        "replace": false,
        "reclaimed": false,
        "node": {
            "instanceId": "i-0123456789abcdef0",
            "autoScalingGroup": "nvme-nodes",
            "availabilityZone": "us-west-2a",
            "instanceType": "m5d.4xlarge",
            "lifecycleState": "InService",
            "disks": [{"sizeGb": 300}, {"sizeGb": 300}],
            "diskLayout": "2x300g",
            "hook": hook,
            "retains": true,
        },
    })
}

/// Asks as one execution, and ends it where it gave way.
async fn ask(world: &World, trigger: Trigger) -> Value {
    ask_of(world, trigger, "InService").await
}

/// The same about an instance in that lifecycle state.
async fn ask_of(world: &World, trigger: Trigger, state: &str) -> Value {
    let function = CordonNode {
        nodes: world,
        executions: world,
        clock: world,
    };
    let mut payload = call(trigger);
    payload["node"]["lifecycleState"] = json!(state);
    let answer = function.serve(payload).await.expect("an answer").answer;
    if answer["outcome"] == "superseded" {
        world.ended.borrow_mut().insert(arn(trigger.name));
    }
    answer
}

fn claim(world: &World) -> Claim {
    let node = world.node.borrow().clone().expect("the node");
    Claim::on(&node).expect("a claim")
}

#[tokio::test]
async fn however_the_calls_of_several_drains_interleave_one_of_them_has_the_node_with_all_wishes() {
    let (mut owners, mut conflicts) = (BTreeSet::new(), 0);
    for seed in 1..=20_000 {
        let world = World::with_node(seed * 0x9e37_79b9);
        let triggers = [
            SPOT,
            TERMINATE_ACTION,
            PERSON,
            STATE_CHANGE,
            again(SPOT, "spot-again"),
            again(TERMINATE_ACTION, "terminate-action-again"),
        ];
        let answers: [Value; 6] = tokio::join!(
            ask(&world, triggers[0]),
            ask(&world, triggers[1]),
            ask(&world, triggers[2]),
            ask(&world, triggers[3]),
            ask(&world, triggers[4]),
            ask(&world, triggers[5]),
        )
        .into();
        let owner = claim(&world);
        let answer = triggers
            .iter()
            .zip(&answers)
            .find(|(trigger, _)| arn(trigger.name) == owner.execution)
            .map(|(_, answer)| answer)
            .expect("the owner is one of them");
        assert_eq!(answer["outcome"], "cordoned", "{answers:#?}");
        assert_eq!(answer["deadline"], SPOT.deadline, "{answers:#?}");
        assert_eq!(
            answer["node"]["hook"]["name"], "tidegate-node-drain",
            "{answers:#?}"
        );
        for answer in answers.iter().filter(|answer| answer["outcome"] == "superseded") {
            let reason = answer["reason"].as_str().unwrap_or_default();
            assert!(reason.contains(MACHINE), "{reason}");
        }
        assert!(
            world
                .node
                .borrow()
                .as_ref()
                .is_some_and(|node| node.unschedulable)
        );
        owners.insert(owner.execution);
        conflicts += world.conflicts.get();
    }
    assert!(
        conflicts > 10_000,
        "only {conflicts} of 120,000 calls lost a race"
    );
    assert!(owners.len() > 2, "always the same won: {owners:?}");
}

#[tokio::test]
async fn the_ends_events_of_a_drained_instance_cost_one_look() {
    let world = World::with_node(1);
    ask_of(&world, TERMINATE_ACTION, "Terminating:Wait").await;
    world.drained.borrow_mut().insert(arn(TERMINATE_ACTION.name));
    let patched = world.node.borrow().clone();
    for (name, state) in [
        ("shutting-down", "Terminating:Proceed"),
        ("terminated", "Terminated"),
    ] {
        let before = world.finds.get();
        let answer = ask_of(&world, again(STATE_CHANGE, name), state).await;
        assert_eq!(answer["outcome"], "superseded", "{answer}");
        let reason = answer["reason"].as_str().expect("a reason");
        assert!(reason.contains("has drained this node"), "{reason}");
        assert_eq!(world.finds.get() - before, 1);
    }
    assert_eq!(*world.node.borrow(), patched, "and nothing was changed");
}

#[tokio::test]
async fn an_end_drains_what_an_execution_has_left() {
    let world = World::with_node(1);
    ask_of(&world, TERMINATE_ACTION, "Terminating:Wait").await;
    world.ended.borrow_mut().insert(arn(TERMINATE_ACTION.name));
    let answer = ask_of(
        &world,
        again(STATE_CHANGE, "shutting-down"),
        "Terminating:Proceed",
    )
    .await;
    assert_eq!(answer["outcome"], "cordoned", "{answer}");
}

#[tokio::test]
async fn a_drain_goes_on_with_the_node_that_it_found() {
    let world = World::with_node(1);
    if let Some(node) = world.node.borrow_mut().as_mut() {
        node.uid = "uid-1".to_owned();
    }
    let answer = ask(&world, STATE_CHANGE).await;
    assert_eq!(answer["node"]["nodeName"], "node-1");
    assert_eq!(answer["node"]["nodeUid"], "uid-1");
}

#[tokio::test]
async fn who_loses_a_race_looks_again_and_gives_way_or_takes_over_with_what_the_other_wanted() {
    for (late, outcome, deadline) in [
        (again(STATE_CHANGE, "again"), "superseded", None),
        (TERMINATE_ACTION, "cordoned", Some(SPOT.deadline)),
    ] {
        // The first order in which one of the two loses the race.
        let mut seed = 0;
        let (world, answer) = loop {
            seed += 1;
            let world = World::with_node(seed);
            let (_, answer) = tokio::join!(ask(&world, SPOT), ask(&world, late));
            if world.conflicts.get() == 1 && answer["deadline"].as_str() == deadline {
                break (world, answer);
            }
            assert!(seed < 10_000, "no order of two calls is such a race");
        };
        assert_eq!(answer["outcome"], outcome, "{answer:#}");
        let owner = if outcome == "superseded" { SPOT } else { late };
        assert_eq!(claim(&world).execution, arn(owner.name));
    }
}

#[tokio::test]
async fn a_drain_without_contention_asks_about_no_other_execution_and_writes_once() {
    let world = World::with_node(1);
    let first = ask(&world, PERSON).await;
    assert_eq!(first["reason"], "node node-1 is cordoned");
    assert_eq!(first["terminate"], true);
    let written = world.node.borrow().clone();
    let second = ask(&world, PERSON).await;
    assert_eq!((second, world.node.borrow().clone()), (first, written));
    assert_eq!(world.questions.get(), 0);
}

#[tokio::test]
async fn a_drain_takes_the_node_of_one_that_has_ended() {
    let world = World::with_node(1);
    ask(&world, SPOT).await;
    let refused = ask(&world, again(SPOT, "spot-again")).await;
    assert_eq!(refused["outcome"], "superseded");
    assert_eq!(refused.get("node"), None, "{refused:#}");
    world.ended.borrow_mut().insert(arn("spot"));
    let taken = ask(&world, STATE_CHANGE).await;
    assert_eq!(taken["outcome"], "cordoned");
    assert_eq!(
        taken["deadline"], STATE_CHANGE.deadline,
        "what has ended wants nothing any more"
    );
}

#[tokio::test]
async fn an_instance_that_is_no_node_is_absent() {
    let answer = ask(&World::default(), SPOT).await;
    assert_eq!(answer["outcome"], "absent");
}
