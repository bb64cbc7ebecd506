//! Several triggers for one node within a second: one execution does the work, the others say which.

use serde_json::{Value, json};

use crate::story::expect_gone;
use crate::world::{Execution, Group, Machine, TWO_DISKS, WriteType};

/// What starts something for a node.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// The group ends the instance, and tells it twice.
    TerminateAction,
    /// Somebody wants it drained and ended.
    Person,
    /// Somebody wants it drained, and kept.
    PersonWhoKeepsIt,
    /// Somebody wants it drained much sooner.
    PersonInAHurry,
    /// Somebody wants it to join again.
    PersonWhoJoinsIt,
    /// EC2 will take it away in two minutes.
    SpotWarning,
    /// EC2 tells that it shuts down.
    StateChange,
    /// A drift check looks for instances that wait with nothing running for them.
    DriftCheck,
}

/// All that can happen to one node at once, some of it twice.
const TRIGGERS: [Trigger; 10] = [
    Trigger::Person,
    Trigger::PersonWhoKeepsIt,
    Trigger::TerminateAction,
    Trigger::SpotWarning,
    Trigger::PersonWhoJoinsIt,
    Trigger::DriftCheck,
    Trigger::Person,
    Trigger::StateChange,
    Trigger::PersonInAHurry,
    Trigger::PersonWhoKeepsIt,
];

/// Those of them that somebody starts by hand.
fn by_hand() -> Vec<Trigger> {
    let aws = |trigger: &Trigger| {
        matches!(
            trigger,
            Trigger::TerminateAction | Trigger::SpotWarning | Trigger::StateChange
        )
    };
    TRIGGERS.into_iter().filter(|trigger| !aws(trigger)).collect()
}

/// The triggers as they stand, backwards, and beginning elsewhere.
fn orders(triggers: &[Trigger]) -> Vec<Vec<Trigger>> {
    let turned = |by: usize| {
        let mut order = triggers.to_vec();
        order.rotate_left(by);
        order
    };
    let backwards = triggers.iter().rev().copied().collect();
    vec![triggers.to_vec(), backwards, turned(3), turned(5)]
}

impl Trigger {
    /// Lets it happen; how many drains that starts.
    async fn happens(self, group: &Group, instance: &str) -> usize {
        let start = async |machine, input: Value| {
            let started = group.world.start(machine, &input.to_string()).await;
            started.expect("StartExecution");
        };
        match self {
            Self::TerminateAction => {
                group.terminate(instance).await;
                return 2;
            }
            Self::Person => start(Machine::Drain, json!({"instanceId": instance})).await,
            Self::PersonWhoKeepsIt => {
                start(
                    Machine::Drain,
                    json!({"instanceId": instance, "terminate": false}),
                )
                .await;
            }
            Self::PersonInAHurry => {
                start(
                    Machine::Drain,
                    json!({"instanceId": instance, "deadlineSeconds": 90}),
                )
                .await;
            }
            Self::PersonWhoJoinsIt => {
                start(Machine::Join, json!({"instanceId": instance})).await;
                return 0;
            }
            Self::SpotWarning => group.world.warn("spot", &[instance], 120).await,
            Self::StateChange => group.world.shuts_down(instance).await,
            Self::DriftCheck => {
                // Only these: other cases have broken other things, each for itself.
                let stalled = json!({"repair": ["drain-stalled", "join-stalled", "instance-retained"]});
                start(Machine::Check, stalled).await;
                return 0;
            }
        }
        1
    }
}

/// Lets all of an order happen to a node, waits until it has left, and answers its drains.
async fn play(group: &Group, instance: &str, order: &[Trigger]) -> Vec<Execution> {
    let world = &group.world;
    let mut expected = 0;
    for trigger in order {
        expected += trigger.happens(group, instance).await;
    }
    group.has_left(instance, 240).await;
    let mut drains = Vec::new();
    for arn in world.executions_for(Machine::Drain, instance).await {
        drains.push(world.ended(&arn, 180).await);
    }
    assert!(drains.len() >= expected, "{order:?}: {drains:#?}");
    for arn in world.executions_for(Machine::Join, instance).await {
        let join = world.ended(&arn, 180).await;
        assert!(
            matches!(join.outcome(), "joined" | "superseded"),
            "{order:?}: {join:#?}"
        );
    }
    drains
}

/// Fails unless one did the work, and each of the others names one of them, or came when nothing was left to do: the
/// instance's end is told by changes of its state too.
fn expect_one_at_work(order: &[Trigger], drains: &[Execution]) {
    let drained = drains.iter().filter(|drain| drain.outcome() == "drained");
    assert_eq!(drained.count(), 1, "{order:?}: {drains:#?}");
    let late = |drain: &&Execution| drain.reason().contains("nothing of it is left to drain");
    for drain in drains
        .iter()
        .filter(|drain| drain.outcome() != "drained" && !late(drain))
    {
        drain.expect("superseded");
        let names_another = drains
            .iter()
            .any(|other| other.arn != drain.arn && drain.reason().contains(&other.arn));
        assert!(names_another, "{order:?}: {drain:#?}");
    }
}

async fn times(group: &Group, drains: &[Execution], state: &str) -> usize {
    let mut times = 0;
    for drain in drains {
        let states = group.world.states_of(&drain.arn).await;
        times += states.iter().filter(|name| *name == state).count();
    }
    times
}

#[tokio::test]
async fn of_all_triggers_at_once_one_drain_saves_the_files_and_completes_the_hook() {
    let orders = orders(&TRIGGERS);
    let count = i32::try_from(orders.len()).expect("a handful");
    let group = Group::with_nodes("case-all-at-once", TWO_DISKS, count).await;
    group.world.deliver_twice(group.name).await;
    let instances = group.in_service(count).await;
    for (number, (instance, order)) in instances.iter().zip(&orders).enumerate() {
        let (_, host) = group.world.node_address(instance).await;
        let path = format!("/case-all-at-once/{number}");
        let file = group.world.write(&path, WriteType::MustCache, &host).await;
        let drains = play(&group, instance, order).await;
        expect_one_at_work(order, &drains);
        assert_eq!(
            times(&group, &drains, "CompleteHook").await,
            1,
            "{order:?}: {drains:#?}"
        );
        group.world.expect_intact(&[file]).await;
        expect_gone(&group, instance, &host).await;
    }
    group.delete().await;
}

#[tokio::test]
async fn of_several_people_at_once_one_drain_saves_the_files_and_ends_the_instance() {
    let orders = orders(&by_hand());
    let count = i32::try_from(orders.len()).expect("a handful");
    let group = Group::with_nodes("case-people-at-once", TWO_DISKS, count).await;
    let instances = group.in_service(count).await;
    for (number, (instance, order)) in instances.iter().zip(&orders).enumerate() {
        let (_, host) = group.world.node_address(instance).await;
        let path = format!("/case-people-at-once/{number}");
        let file = group.world.write(&path, WriteType::MustCache, &host).await;
        let drains = play(&group, instance, order).await;
        // The instance's end, when all is saved, is the event of one more drain, which finds nothing left to do.
        let (ending, people): (Vec<_>, Vec<_>) = drains
            .into_iter()
            .partition(|drain| drain.input.contains("detail"));
        expect_one_at_work(order, &people);
        assert_eq!(
            times(&group, &people, "TerminateInstance").await,
            1,
            "{order:?}: {people:#?}"
        );
        assert_eq!(times(&group, &ending, "CompleteHook").await, 1, "{ending:#?}");
        group.world.expect_intact(&[file]).await;
        expect_gone(&group, instance, &host).await;
    }
    group.delete().await;
}
