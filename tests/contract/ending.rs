//! How a walk ended.

use serde_json::{Map, Value, json};

use crate::account::INSTANCE;
use crate::definition::Machine;
use crate::faults::Failure;
use crate::scene::began;
use crate::walker::{Trace, Walker, World};

/// The end of a walk.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The definition's file.
    pub(crate) file: &'static str,
    /// The execution's ARN.
    pub(crate) execution: String,
    /// How long it took.
    pub(crate) seconds: i64,
    /// What the execution ended with.
    pub(crate) result: Result<Value, Failure>,
    /// What it did.
    pub(crate) trace: Trace,
}

impl Ending {
    /// Walks a state machine through a world.
    pub(crate) fn of(
        machine: &Machine,
        substitutions: &Map<String, Value>,
        input: &Value,
        world: &mut dyn World,
    ) -> Self {
        Self::named("e-1", machine, substitutions, input, world)
    }

    /// The same for an execution of that name.
    pub(crate) fn named(
        own_name: &str,
        machine: &Machine,
        substitutions: &Map<String, Value>,
        input: &Value,
        world: &mut dyn World,
    ) -> Self {
        let name = machine
            .file
            .trim_start_matches("statemachine/")
            .trim_end_matches(".asl.json");
        let execution = format!("arn:aws:states:us-west-2:123456789012:execution:tidegate-{name}:{own_name}");
        let mut walker = Walker {
            machine,
            substitutions,
            world,
            execution: json!({
                "Id": execution,
                "Name": own_name,
                "Input": input,
                "RoleArn": "arn:aws:iam::123456789012:role/r",
                "StartTime": began(),
            }),
            started_at: began(),
            trace: Trace::default(),
        };
        let (ended, result) = walker.walk();
        Self {
            file: machine.file,
            execution,
            seconds: ended.duration_since(began()).as_secs(),
            result,
            trace: walker.trace,
        }
    }

    /// The arguments of the calls of an action, such as `putEvents`.
    pub(crate) fn calls(&self, action: &str) -> Vec<&Value> {
        let calls = self.trace.calls.iter();
        calls
            .filter(|call| call.resource.rsplit(':').next() == Some(action))
            .map(|call| &call.arguments)
            .collect()
    }

    /// The payloads of the calls of a function.
    pub(crate) fn asked(&self, function: &str) -> Vec<&Value> {
        let invocations = self.calls("invoke").into_iter();
        invocations
            .filter(|arguments| arguments["FunctionName"] == function)
            .map(|arguments| &arguments["Payload"])
            .collect()
    }

    /// What the hook was told, each time that it was.
    pub(crate) fn hook_results(&self) -> Vec<&str> {
        let completions = self.calls("completeLifecycleAction").into_iter();
        completions
            .filter_map(|arguments| arguments["LifecycleActionResult"].as_str())
            .collect()
    }

    /// What the outcome event tells. Every walk that comes to its end tells it once.
    pub(crate) fn told(&self) -> Value {
        let calls = self.calls("putEvents");
        assert!(!calls.is_empty(), "{}: no outcome event: {self:#?}", self.file);
        // A plan may be told before it is carried out.
        let is_plan = |call: &&&Value| {
            let kind = call["Entries"][0]["DetailType"].as_str();
            kind.is_some_and(|kind| kind.ends_with(" Plan"))
        };
        let call = calls.iter().find(|call| !is_plan(call));
        let entry = &call.expect("an outcome event")["Entries"][0];
        let kind = match self.file {
            file if file.contains("join") => "Node Join Outcome",
            file if file.contains("drift") => "Drift Check Completed",
            file if file.contains("bootstrap") => "Cluster Bootstrap Outcome",
            file if file.contains("destroy") => "Cluster Destroy Outcome",
            _ => "Node Drain Outcome",
        };
        assert_eq!(entry["Source"], "tidegate", "{}: {entry}", self.file);
        assert_eq!(entry["DetailType"], kind, "{}: {entry}", self.file);
        assert_eq!(entry["EventBusName"], "default", "{}: {entry}", self.file);
        let detail = entry["Detail"]
            .as_str()
            .expect("Detail is a text, as PutEvents wants it");
        let detail: Value = serde_json::from_str(detail).expect("Detail is JSON");
        assert_eq!(detail["execution"], self.execution.as_str());
        assert!(detail["seconds"].is_i64(), "{}: {detail}", self.file);
        assert!(detail["seen"].is_object(), "{}: {detail}", self.file);
        assert!(
            !detail["reason"].as_str().unwrap_or_default().is_empty(),
            "{}: {detail}",
            self.file
        );
        detail
    }

    /// Checks the outcome and a part of its reason: told on the bus, and what the execution itself ends with, which
    /// is a failure where somebody must look at it.
    pub(crate) fn assert_outcome(&self, outcome: &str, reason: &str) {
        let told = self.told();
        assert_eq!(told["outcome"], outcome, "{}: {told:#}", self.file);
        let says = told["reason"].as_str().unwrap_or_default();
        assert!(
            says.contains(reason),
            "{}: the reason is {says:?}, not about {reason:?}",
            self.file
        );
        match &self.result {
            Ok(output) => {
                let attention = matches!(outcome, "stalled" | "incomplete" | "refused");
                assert!(!attention, "{}: {outcome} must fail the execution", self.file);
                assert_eq!(output["outcome"], outcome, "{}", self.file);
                assert_eq!(output["reason"], told["reason"], "{}", self.file);
            }
            Err(failure) => {
                assert_eq!(failure.error, outcome, "{}: {failure:?}", self.file);
                assert_eq!(told["reason"], failure.cause.as_str(), "{}", self.file);
            }
        }
    }

    /// What it came to: the outcome, or the error of an execution that fails.
    pub(crate) fn outcome(&self) -> &str {
        match &self.result {
            Ok(output) => output["outcome"].as_str().unwrap_or_default(),
            Err(failure) => &failure.error,
        }
    }

    /// Checks that the event names the instance.
    pub(crate) fn assert_instance(&self) {
        assert_eq!(self.told()["instanceId"], INSTANCE, "{}", self.file);
    }
}
