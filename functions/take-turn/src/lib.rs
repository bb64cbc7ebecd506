//! Whether a group can spare an instance whose drain can wait: of a group only a share is drained at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, TurnOutcome};
use tidegate_domain::ports::Clock;
use tidegate_domain::subject::Subject;
use tidegate_domain::turn::{GroupSizes, Pace, RunningDrains, Ticket, Turn};
use tidegate_lambda::{Call, Reply, Serve};

/// The function.
pub struct TakeTurn<Groups, Drains, Clock> {
    /// Auto Scaling.
    pub groups: Groups,
    /// Step Functions.
    pub drains: Drains,
    /// Time.
    pub clock: Clock,
    /// How many instances of a group may be drained at once.
    pub pace: Pace,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnCall {
    /// The node.
    node: Subject,
    /// The name of the execution that waits.
    name: String,
    /// The ARN of its state machine.
    state_machine: String,
    /// When it started.
    started_at: Timestamp,
    /// Its input.
    input: Map<String, Value>,
}

/// What is to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The input of the execution that does the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Value>,
    /// The beginning of its name: the instance follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

const INSTANCE: &str = "instanceId";
const IN_TURN: &str = "inTurn";
const BEFORE: &str = "before";
/// How a person may have named the instance.
const NODE: [&str; 2] = ["nodeName", "nodeNames"];

impl TurnCall {
    fn ticket(&self) -> Ticket {
        let before = self.input.get(BEFORE).and_then(Value::as_str);
        Ticket {
            name: self.name.clone(),
            started_at: self.started_at,
            instance: self.node.instance_id.clone(),
            before: before.and_then(|instant| instant.parse().ok()),
        }
    }

    /// The input again, for an execution about this instance that waits or does not.
    fn input(&self, waits: bool) -> Value {
        let mut input = self.input.clone();
        for field in NODE {
            input.remove(field);
        }
        input.insert(INSTANCE.to_owned(), json!(self.node.instance_id));
        if waits {
            input.insert(IN_TURN.to_owned(), json!(true));
        } else {
            input.remove(IN_TURN);
        }
        Value::Object(input)
    }
}

impl<Groups: GroupSizes, Drains: RunningDrains, C: Clock> TakeTurn<Groups, Drains, C> {
    async fn answer(&self, call: &TurnCall) -> Result<Answer<TurnOutcome, Facts>> {
        let group = self.groups.group_size(&call.node.auto_scaling_group).await?;
        let running = self.drains.running_drains(&call.state_machine).await?;
        let ticket = call.ticket();
        let starts = |waits, name| Facts {
            inputs: vec![call.input(waits)],
            event_id: Some(name),
        };
        Ok(match ticket.turn(self.pace, &group, &running, self.clock.now()) {
            Turn::Come(reason) => Answer::new(TurnOutcome::Come, reason, starts(false, ticket.drain_name())),
            Turn::HandOver(reason) => {
                Answer::new(TurnOutcome::HandedOver, reason, starts(true, ticket.next_name()))
            }
            Turn::Wait(reason, seconds) => {
                Answer::again(TurnOutcome::Waiting, reason, seconds, Facts::default())
            }
        })
    }
}

impl<Groups: GroupSizes, Drains: RunningDrains, C: Clock> Serve for TakeTurn<Groups, Drains, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: TurnCall = Call::read(&payload)?;
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.node))
    }
}
