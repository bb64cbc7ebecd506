//! Drains that AWS leaves time for: of a group only a share is drained at once.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use take_turn::TakeTurn;
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, TurnOutcome};
use tidegate_domain::ports::Clock;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::turn::{GroupSize, GroupSizes, Pace, RunningDrain, RunningDrains};
use tidegate_lambda::Serve;

use crate::account::{Account, DRAIN_LIMIT, INSTANCE};
use crate::drain::drain;
use crate::ending::Ending;
use crate::scene::{Asked, Scene, answered, began};
use crate::walker::{Reply, STATE_MACHINE};

const OTHER: &str = "i-0fedcba9876543210";
/// The ticket of the other instance, of the same event.
const FIRST: &str = "turn-1795427000-e-0-i-0fedcba9876543210";
const TICKET: &str = "turn-1795428000-e-1-i-0123456789abcdef0";

fn recommendation() -> Value {
    json!({
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "EC2 Instance Rebalance Recommendation",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-23T10:00:00Z",
        "region": "us-west-2",
        "resources": [],
        "detail": { "instance-id": INSTANCE },
    })
}

fn waiting_input() -> Value {
    json!({ "instanceId": INSTANCE, "replace": true, "inTurn": true, "fromEvent": true })
}

/// Two instances, of which the other is drained, then ends, then is replaced: a state for each so many seconds.
#[derive(Clone)]
struct Cluster {
    now: Timestamp,
    replaced_after: i64,
}

impl GroupSizes for Cluster {
    async fn group_size(&self, _: &str) -> Result<GroupSize> {
        let member = |id: &str, state: &str| Ok((InstanceId::parse(id)?, state.to_owned()));
        let mut members = vec![member(INSTANCE, "InService")?];
        if self.age() < self.replaced_after / 2 {
            members.push(member(OTHER, "InService")?);
        } else if self.age() < self.replaced_after {
            members.push(member(OTHER, "Terminating:Wait")?);
        } else {
            members.push(member("i-00000000000000007", "InService")?);
        }
        Ok(GroupSize { desired: 2, members })
    }
}

impl RunningDrains for Cluster {
    async fn running_drains(&self, machine: &str) -> Result<Vec<RunningDrain>> {
        assert_eq!(machine, STATE_MACHINE);
        let running = |name: &str| RunningDrain {
            name: name.to_owned(),
            started_at: began(),
        };
        let mut all = vec![running(TICKET)];
        if self.age() < self.replaced_after / 2 {
            all.push(running(FIRST));
        }
        Ok(all)
    }
}

impl Clock for Cluster {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn sleep(&self, _: std::time::Duration) {}
}

impl Cluster {
    fn age(&self) -> i64 {
        self.now.duration_since(began()).as_secs()
    }
}

/// What `take-turn` itself answers in that cluster.
fn asks(asked: &Asked, replaced_after: i64) -> Reply {
    let cluster = Cluster {
        now: asked.at,
        replaced_after,
    };
    let function = TakeTurn {
        groups: cluster.clone(),
        drains: cluster.clone(),
        clock: cluster,
        pace: Pace {
            percent: 10,
            drain_limit_seconds: DRAIN_LIMIT,
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

fn ticket(replaced_after: i64, input: Value) -> Scene {
    drain(input, Account::with_instance("InService"))
        .named(TICKET)
        .on("take-turn", move |asked| asks(asked, replaced_after))
}

fn of_a_recommendation() -> Ending {
    drain(recommendation(), Account::with_instance("InService")).play()
}

fn in_turn() -> Ending {
    ticket(3_000, waiting_input()).play()
}

fn handed_over() -> Ending {
    ticket(i64::MAX, waiting_input()).play()
}

fn unseen() -> Ending {
    ticket(0, waiting_input())
        .on("take-turn", |asked| asked.fails("AwsRefused"))
        .play()
}

fn of_another_release() -> Ending {
    ticket(0, waiting_input())
        .on("take-turn", |_| {
            let answer: Answer<TurnOutcome, _> = Answer::new(TurnOutcome::Come, "x", json!({}));
            let mut reply = answered(1, &answer);
            reply.result = reply.result.map(|mut result| {
                result["Payload"]["outcome"] = json!("of-another-release");
                result
            });
            reply
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        of_a_recommendation(),
        in_turn(),
        handed_over(),
        unseen(),
        of_another_release(),
    ]
}

fn started(ending: &Ending) -> (String, Value) {
    let starts = ending.calls("startExecution");
    assert_eq!(starts.len(), 1, "{starts:#?}");
    let input = starts[0]["Input"].as_str().expect("a text");
    (
        starts[0]["Name"].as_str().expect("a name").to_owned(),
        serde_json::from_str(input).expect("JSON"),
    )
}

#[test]
fn what_can_wait_waits_in_a_ticket_of_its_own() {
    let ending = of_a_recommendation();
    ending.assert_outcome("fanned-out", "waits for the turn");
    let (name, input) = started(&ending);
    let at = "2026-11-23T10:00:00Z"
        .parse::<Timestamp>()
        .expect("a time")
        .as_second();
    assert_eq!(
        name,
        format!("turn-{at}-7bf73129-1428-4cd3-a780-95db273d1602-{INSTANCE}"),
        "the same each time that the event is delivered"
    );
    assert_eq!(input, waiting_input());
    assert_eq!(ending.asked("cordon-node").len(), 0);
}

#[test]
fn the_next_is_drained_once_the_group_is_whole() {
    let ending = in_turn();
    ending.assert_outcome("fanned-out", "it is the turn of instance");
    assert!((3_000..3_700).contains(&ending.seconds), "{} s", ending.seconds);
    let (name, input) = started(&ending);
    assert_eq!(name, format!("leave-1795428000-e-1-{INSTANCE}"));
    assert_eq!(
        input,
        json!({ "instanceId": INSTANCE, "replace": true, "fromEvent": true })
    );
    assert_eq!(
        ending.asked("cordon-node").len(),
        0,
        "the ticket itself touches nothing"
    );
}

#[test]
fn the_drain_of_a_turn_ends_the_instance() {
    let ending = drain(started(&in_turn()).1, Account::with_instance("InService"))
        .named(&format!("leave-1795428000-e-1-{INSTANCE}"))
        .play();
    ending.assert_outcome("drained", "");
    let ends = ending.calls("terminateInstanceInAutoScalingGroup");
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["ShouldDecrementDesiredCapacity"], false);
}

#[test]
fn a_ticket_waits_a_day_and_hands_its_place_on() {
    let ending = handed_over();
    ending.assert_outcome("fanned-out", "another execution goes on waiting");
    let hours = SignedDuration::from_secs(ending.seconds).as_hours();
    assert_eq!(hours, 24);
    assert!(ending.trace.events < 3_000, "{} events", ending.trace.events);
    let (name, input) = started(&ending);
    assert_eq!(
        name,
        format!("turn-1795428000-{}-{INSTANCE}", began().as_second())
    );
    assert_eq!(input, waiting_input());
}

#[test]
fn where_time_is_short_a_ticket_does_not_wait() {
    let mut input = waiting_input();
    input["before"] = json!(began() + SignedDuration::from_secs(DRAIN_LIMIT.into()));
    let ending = ticket(i64::MAX, input.clone()).play();
    ending.assert_outcome("fanned-out", "it waits for no other");
    assert_eq!(started(&ending).1["before"], input["before"]);
}

#[test]
fn a_queue_that_cannot_be_seen_is_an_alarm() {
    unseen().assert_outcome("stalled", "AwsRefused");
}

#[test]
fn a_recommendation_is_left_to_the_group() {
    let mut account = Account::with_instance("InService");
    account.rebalances = true;
    let ending = drain(recommendation(), account).play();
    ending.assert_outcome("ignored", "CapacityRebalance");
    let ending = drain(recommendation(), Account::with_instance("Pending:Wait")).play();
    ending.assert_outcome("ignored", "has not joined yet");
}

#[test]
fn an_instance_that_leaves_waits_for_no_turn() {
    let ending = drain(recommendation(), Account::with_instance("Terminating:Wait")).play();
    ending.assert_outcome("drained", "");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}
