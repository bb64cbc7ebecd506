//! A world for a walk: `resolve-node` runs as it is, the other functions answer what a scene says in their real types
//! after reading their calls by their real types, and a lifecycle hook runs out as Auto Scaling's do.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use resolve_node::ResolveNode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::outcome::Answer;
use tidegate_domain::ports::GroupHook;
use tidegate_domain::resolve::Direction;
use tidegate_lambda::{Call as FunctionCall, Serve};

use crate::account::{Account, INSTANCE, scope};
use crate::definition::{Machine, machine};
use crate::ending::Ending;
use crate::faults::Failure;
use crate::template;
use crate::walker::{Call, Reply, World};

/// How long a function watches before it answers that it waits, in seconds; the template's default.
const WATCH: u32 = 20;
/// What Auto Scaling says of a hook that was completed, or has run out.
const HOOK_OVER: &str = "No active Lifecycle Action found with instance ID i-0123456789abcdef0 (Service: AutoScaling, \
                         Status Code: 400, Request ID: 1)";

/// A call that a function answers.
pub(crate) struct Asked {
    /// How many calls of this function came before it.
    pub(crate) before: usize,
    /// When it came.
    pub(crate) at: Timestamp,
    /// The call.
    pub(crate) call: FunctionCall,
    /// All of it.
    pub(crate) payload: Value,
}

impl Asked {
    /// Seconds since the execution began.
    pub(crate) fn age(&self) -> i64 {
        self.call.frame.age_seconds(self.at)
    }

    /// An answer.
    #[allow(
        clippy::unused_self,
        reason = "beside `waits` it reads as what it is: an answer to this call"
    )]
    pub(crate) fn says<O: Serialize, F: Serialize>(&self, outcome: O, reason: &str, facts: F) -> Reply {
        answered(1, &Answer::new(outcome, reason, facts))
    }

    /// An answer that asks to be called again, after all the time that a call watches.
    pub(crate) fn waits<O: Serialize, F: Serialize>(&self, outcome: O, reason: &str, facts: F) -> Reply {
        let now = self.at + SignedDuration::from_secs(WATCH.into());
        let again = retry_after_seconds(&self.call.frame, now, self.call.node.hook.as_ref(), WATCH);
        answered(WATCH, &Answer::again(outcome, reason, again, facts))
    }

    /// An answer that asks to be called again at once.
    #[allow(
        clippy::unused_self,
        reason = "beside `waits` it reads as what it is: an answer to this call"
    )]
    pub(crate) fn hurries<O: Serialize, F: Serialize>(&self, outcome: O, reason: &str, facts: F) -> Reply {
        answered(WATCH, &Answer::again(outcome, reason, 1, facts))
    }

    /// An error of that name.
    #[allow(
        clippy::unused_self,
        reason = "beside `waits` it reads as what it is: an answer to this call"
    )]
    pub(crate) fn fails(&self, name: &str) -> Reply {
        failed(2, name, &format!("told to fail with {name}"))
    }

    /// No answer in the time that the function has.
    pub(crate) fn hangs(&self, timeout: u32) -> Reply {
        let message = format!("{} Task timed out after {timeout}.00 seconds", self.at);
        failed(timeout, "Sandbox.Timedout", &message)
    }
}

/// An error as Lambda reports it.
pub(crate) fn failed(seconds: u32, name: &str, message: &str) -> Reply {
    let cause = json!({ "errorType": name, "errorMessage": message }).to_string();
    let error = name.to_owned();
    Reply {
        seconds,
        result: Err(Failure { error, cause }),
    }
}

pub(crate) fn answered<O: Serialize, F: Serialize>(seconds: u32, answer: &Answer<O, F>) -> Reply {
    let reply = tidegate_lambda::Reply::of(answer).expect("an answer can be written");
    result(seconds, &reply.answer)
}

fn result(seconds: u32, payload: &Value) -> Reply {
    let result = Ok(json!({ "ExecutedVersion": "$LATEST", "StatusCode": 200, "Payload": payload }));
    Reply { seconds, result }
}

type Function = Box<dyn FnMut(&Asked) -> Reply>;
type Action = Box<dyn FnMut(usize) -> Option<Failure>>;

/// A scene: what is asked for, and how the world behaves.
pub(crate) struct Scene {
    direction: Direction,
    input: Value,
    account: Account,
    hook: Option<Hook>,
    functions: BTreeMap<&'static str, Function>,
    actions: BTreeMap<&'static str, Action>,
    asked: BTreeMap<String, usize>,
    resolution: Option<&'static str>,
    retains_later: Option<bool>,
    kept: Option<bool>,
    name: String,
}

/// A hook that waits.
struct Hook {
    definition: GroupHook,
    began: Timestamp,
    beaten: Timestamp,
    result: Option<String>,
}

impl Scene {
    /// A scene with that input in that account, in which no function answers yet.
    pub(crate) fn new(direction: Direction, input: Value, account: Account) -> Self {
        let waits = match direction {
            Direction::Join => "Pending:Wait",
            Direction::Drain => "Terminating:Wait",
        };
        let state = account
            .membership
            .as_ref()
            .map(|membership| membership.lifecycle_state.as_str());
        let hook = account
            .hooks
            .iter()
            .find(|hook| state == Some(waits) && hook.transition == direction.transition())
            .map(|hook| Hook {
                definition: hook.clone(),
                began: began(),
                beaten: began(),
                result: None,
            });
        Self {
            direction,
            input,
            account,
            hook,
            functions: BTreeMap::new(),
            actions: BTreeMap::new(),
            asked: BTreeMap::new(),
            resolution: None,
            retains_later: None,
            kept: None,
            name: "e-1".to_owned(),
        }
    }

    /// The same where the execution has that name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same where `resolve-node` is of another release, and comes to that outcome.
    pub(crate) fn resolved_as(mut self, outcome: &'static str) -> Self {
        self.resolution = Some(outcome);
        self
    }

    /// The same where the group's policy is changed while the execution runs.
    pub(crate) fn retaining_later(mut self, retains: bool) -> Self {
        self.retains_later = Some(retains);
        self
    }

    /// The same where the group keeps the instance after its hook, or does not, whatever its policy was before.
    pub(crate) fn kept_at_the_end(mut self, kept: bool) -> Self {
        self.kept = Some(kept);
        self
    }

    /// The same where a function answers so.
    pub(crate) fn on(
        mut self,
        function: &'static str,
        answer: impl FnMut(&Asked) -> Reply + 'static,
    ) -> Self {
        self.functions.insert(function, Box::new(answer));
        self
    }

    /// The same where an action of AWS fails so; it is told how many calls of it came before.
    pub(crate) fn action(
        mut self,
        action: &'static str,
        fails: impl FnMut(usize) -> Option<Failure> + 'static,
    ) -> Self {
        self.actions.insert(action, Box::new(fails));
        self
    }

    /// Walks the state machine through it.
    pub(crate) fn play(mut self) -> Ending {
        let machine: Machine = machine(self.direction);
        let substitutions = substitutions(&machine);
        let input = self.input.clone();
        let name = self.name.clone();
        Ending::named(&name, &machine, &substitutions, &input, &mut self)
    }

    fn function(&mut self, name: &str, payload: &Value, at: Timestamp, before: usize) -> Reply {
        let refused = |error: &dyn std::fmt::Display| -> ! {
            panic!("{name} cannot read the call that statemachine/*.asl.json makes: {error}; it is {payload}")
        };
        if name == "resolve-node" {
            return self.resolve(payload);
        }
        if name == "cordon-node" {
            FunctionCall::read::<cordon_node::CordonCall>(payload).unwrap_or_else(|error| refused(&error));
        }
        if name == "drain-cache" {
            FunctionCall::read::<drain_cache::DrainCall>(payload).unwrap_or_else(|error| refused(&error));
        }
        if name == "evict-pods" {
            FunctionCall::read::<evict_pods::EvictCall>(payload).unwrap_or_else(|error| refused(&error));
        }
        let call: FunctionCall = FunctionCall::read(payload).unwrap_or_else(|error| refused(&error));
        let Some(answer) = self.functions.get_mut(name) else {
            panic!("the scene does not say what {name} answers");
        };
        answer(&Asked {
            before,
            at,
            call,
            payload: payload.clone(),
        })
    }

    fn resolve(&self, payload: &Value) -> Reply {
        let function = ResolveNode {
            groups: self.account.clone(),
            instances: self.account.clone(),
            api_servers: self.account.clone(),
            scope: scope(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        match runtime.block_on(function.serve(payload.clone())) {
            Ok(mut reply) => {
                if let Some(outcome) = self.resolution {
                    reply.answer["outcome"] = json!(outcome);
                }
                result(1, &reply.answer)
            }
            Err(error) => failed(1, error.name.as_str(), &error.message),
        }
    }

    fn sdk(&mut self, action: &str, arguments: &Value, at: Timestamp, before: usize) -> Reply {
        let told = self.actions.get_mut(action).and_then(|fails| fails(before));
        // A hook that is said to be over has run out.
        if let (Some(failure), Some(hook)) = (&told, &mut self.hook)
            && failure.cause == HOOK_OVER
        {
            let default_result = hook.definition.default_result.clone();
            hook.result.get_or_insert(default_result);
        }
        let over = match (action, &mut self.hook) {
            _ if told.is_some() => None,
            ("completeLifecycleAction", Some(hook)) => {
                let over = hook.over(at);
                let result = arguments["LifecycleActionResult"].as_str();
                hook.result = hook.result.take().or_else(|| result.map(ToOwned::to_owned));
                over
            }
            ("recordLifecycleActionHeartbeat", Some(hook)) => {
                let over = hook.over(at);
                hook.beaten = hook.beaten.max(at);
                over
            }
            ("completeLifecycleAction" | "recordLifecycleActionHeartbeat", None) => Some(hook_over()),
            _ => None,
        };
        let result = match told.or(over) {
            Some(failure) => Err(failure),
            None if action == "putEvents" => {
                Ok(json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }))
            }
            None if action == "startExecution" => Ok(json!({
                "ExecutionArn": format!("arn:aws:states:us-west-2:123456789012:execution:machine:execution-{before}"),
                "StartDate": at,
            })),
            None if action == "describeAutoScalingGroups" => Ok(self.described_group(arguments)),
            None if action == "describeAutoScalingInstances" => Ok(self.described_instance(at)),
            None => Ok(json!({})),
        };
        Reply { seconds: 1, result }
    }
}

impl Scene {
    /// The group as it is now. One that retains nothing has no policy.
    fn described_group(&self, arguments: &Value) -> Value {
        let mut group =
            json!({ "AutoScalingGroupName": arguments["AutoScalingGroupNames"][0], "MinSize": 0 });
        if self.retains() {
            group["InstanceLifecyclePolicy"] =
                json!({ "RetentionTriggers": { "TerminateHookAbandon": "retain" } });
        }
        json!({ "AutoScalingGroups": [group] })
    }

    fn retains(&self) -> bool {
        self.retains_later.unwrap_or(self.account.retains)
    }

    /// The instance as Auto Scaling has it after its hook: gone, or kept.
    fn described_instance(&self, at: Timestamp) -> Value {
        let kept = match &self.hook {
            Some(hook) if hook.over(at).is_some() => {
                let result = hook.result.as_ref().unwrap_or(&hook.definition.default_result);
                let kept = result == "ABANDON" && self.retains();
                self.kept.unwrap_or(kept).then_some("Terminating:Retained")
            }
            _ => self
                .account
                .membership
                .as_ref()
                .map(|membership| membership.lifecycle_state.as_str()),
        };
        let found: Vec<_> = kept
            .into_iter()
            .map(|state| json!({ "InstanceId": INSTANCE, "LifecycleState": state }))
            .collect();
        json!({ "AutoScalingInstances": found })
    }
}

impl Hook {
    fn over(&self, at: Timestamp) -> Option<Failure> {
        let passed = |since: Timestamp| at.duration_since(since).as_secs();
        let over = self.result.is_some()
            || passed(self.began) > i64::from(self.definition.global_seconds)
            || passed(self.beaten) > i64::from(self.definition.heartbeat_seconds);
        over.then(hook_over)
    }
}

impl World for Scene {
    fn answer(&mut self, call: &Call) -> Reply {
        let counted = match call.resource.rsplit_once(':') {
            Some((_, "invoke")) => call.arguments["FunctionName"].to_string(),
            Some((_, action)) => action.to_owned(),
            None => panic!("{}: what is {}?", call.state, call.resource),
        };
        let count = self.asked.entry(counted.clone()).or_default();
        let before = *count;
        *count += 1;
        if call.resource.ends_with(":invoke") {
            let name = call.arguments["FunctionName"].as_str().unwrap_or_default();
            self.function(name, &call.arguments["Payload"], call.at, before)
        } else {
            self.sdk(&counted, &call.arguments, call.at, before)
        }
    }
}

/// When every walk begins.
pub(crate) fn began() -> Timestamp {
    "2026-11-23T10:00:00.123Z".parse().expect("a time")
}

/// What the template substitutes; a function's ARN is its name here.
pub(crate) fn substitutions(machine: &Machine) -> Map<String, Value> {
    let mut substitutions = template::substitutions(machine);
    for (function, state) in machine.function_tasks() {
        let text = state.fields["Arguments"]["FunctionName"]
            .as_str()
            .unwrap_or_default();
        substitutions.insert(text.trim_matches(['$', '{', '}']).to_owned(), json!(function));
    }
    substitutions
}

/// A hook that is no longer active, as Auto Scaling says it and Step Functions reports it.
pub(crate) fn hook_over() -> Failure {
    auto_scaling_fails(HOOK_OVER)
}

/// An error of Auto Scaling that its model does not name.
pub(crate) fn auto_scaling_fails(cause: &str) -> Failure {
    Failure {
        error: "AutoScaling.AutoScalingException".to_owned(),
        cause: cause.to_owned(),
    }
}
