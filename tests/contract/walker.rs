//! Walks a definition state by state, as <https://states-language.net> says, with `JSONata` by the reference engine.
//! Time is counted, not waited for: two days of a state machine take seconds.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::definition::{Machine, expression, expressions, list};
use crate::engine::{Evaluated, evaluate};
use crate::faults::{Failure, Stop, check_size, names, query_error, retry_delay};

/// Events that the history of a Standard execution may hold; one more fails it.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
pub(crate) const MOST_EVENTS: u32 = 25_000;

/// The state machine that is walked.
pub(crate) const STATE_MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:machine";

/// What the tasks of a walk call.
pub(crate) trait World {
    /// Answers a call.
    fn answer(&mut self, call: &Call) -> Reply;
}

/// A call of a task.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The task.
    pub(crate) state: String,
    /// Its `Resource`.
    pub(crate) resource: String,
    /// Its `Arguments`.
    pub(crate) arguments: Value,
    /// When.
    pub(crate) at: Timestamp,
}

/// What a call comes to.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// How long it takes.
    pub(crate) seconds: u32,
    /// Its result.
    pub(crate) result: Result<Value, Failure>,
}

/// What a walk has done.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The states entered, in order; those of a branch together.
    pub(crate) states: Vec<String>,
    /// The calls made.
    pub(crate) calls: Vec<Call>,
    /// The expressions evaluated: state and place.
    pub(crate) expressions: BTreeSet<(String, String)>,
    /// The events that its history would hold.
    pub(crate) events: u32,
}

/// One line of execution: the machine's own, or a branch.
#[derive(Clone)]
struct Line {
    now: Timestamp,
    variables: Map<String, Value>,
}

/// A state that is being walked.
struct Here<'a> {
    name: &'a str,
    fields: &'a Value,
    input: Value,
    retries: u32,
}

/// A walk through a machine.
pub(crate) struct Walker<'a> {
    /// The definition.
    pub(crate) machine: &'a Machine,
    /// Its `DefinitionSubstitutions`.
    pub(crate) substitutions: &'a Map<String, Value>,
    /// What its tasks call.
    pub(crate) world: &'a mut dyn World,
    /// `Execution` of the context object.
    pub(crate) execution: Value,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// What it has done.
    pub(crate) trace: Trace,
}

impl Walker<'_> {
    /// Walks to the end: when it came there, and with what.
    pub(crate) fn walk(&mut self) -> (Timestamp, Result<Value, Failure>) {
        let input = self.execution["Input"].clone();
        let mut line = Line {
            now: self.started_at,
            variables: Map::new(),
        };
        let machine = self.machine;
        let result = self.program(&machine.definition, &mut line, input);
        let result = result.map_err(|(Stop::Failed(failure) | Stop::Ended(failure))| failure);
        (line.now, result)
    }

    fn program(&mut self, program: &Value, line: &mut Line, input: Value) -> Result<Value, Stop> {
        let mut name = program["StartAt"].as_str().unwrap_or_default();
        let mut value = input;
        loop {
            let fields = &program["States"][name];
            self.trace.states.push(name.to_owned());
            self.happened(2, line)?;
            let mut here = Here {
                name,
                fields,
                input: value,
                retries: 0,
            };
            let (output, next) = self.state(&mut here, line)?;
            check_size(name, &output)?;
            match next {
                Some(next) => (value, name) = (output, next),
                None => return Ok(output),
            }
        }
    }

    /// Counts events, and ends what Step Functions would end.
    fn happened(&mut self, events: u32, line: &Line) -> Result<(), Stop> {
        let ended = |error: &str, cause: String| {
            let error = error.to_owned();
            Err(Stop::Ended(Failure { error, cause }))
        };
        self.trace.events += events;
        if self.trace.events > MOST_EVENTS {
            return ended("States.Runtime", format!("more than {MOST_EVENTS} events"));
        }
        let limit = self.machine.definition["TimeoutSeconds"]
            .as_i64()
            .unwrap_or(i64::MAX);
        if line.now.duration_since(self.started_at).as_secs() > limit {
            return ended("States.Timeout", format!("more than {limit} s"));
        }
        Ok(())
    }

    fn state<'b>(&mut self, here: &mut Here<'b>, line: &mut Line) -> Result<(Value, Option<&'b str>), Stop> {
        let fields = here.fields;
        let states = json!({});
        match fields["Type"].as_str().unwrap_or_default() {
            "Pass" | "Succeed" => self.leave(here, line, fields, "", here.input.clone(), &states),
            "Wait" => {
                let seconds = self.fill(here, line, &fields["Seconds"], "Seconds", &states)?;
                let Some(seconds) = seconds.as_u64().and_then(|seconds| i64::try_from(seconds).ok()) else {
                    return Err(query_error(
                        here.name,
                        "Seconds",
                        &format!("{seconds} is no number of seconds"),
                    ));
                };
                line.now += SignedDuration::from_secs(seconds);
                self.leave(here, line, fields, "", here.input.clone(), &states)
            }
            "Choice" => self.choose(here, line),
            "Fail" => {
                let error = self.fill(here, line, &fields["Error"], "Error", &states)?;
                let cause = self.fill(here, line, &fields["Cause"], "Cause", &states)?;
                let text = |value: Value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), ToOwned::to_owned)
                };
                Err(Stop::failed(&text(error), text(cause)))
            }
            "Task" | "Parallel" | "Map" => self.attempts(here, line),
            other => panic!("{}: this walker knows no state of type {other:?}", here.name),
        }
    }

    fn choose<'b>(&mut self, here: &Here<'b>, line: &mut Line) -> Result<(Value, Option<&'b str>), Stop> {
        let states = json!({});
        let rules: Vec<_> = list(here.fields, "Choices").collect();
        let conditions: Vec<_> = rules
            .iter()
            .filter_map(|rule| expression(rule["Condition"].as_str()?))
            .collect();
        assert_eq!(
            rules.len(),
            conditions.len(),
            "{}: a rule without expression",
            here.name
        );
        let evaluated = self.evaluate(here, line, &conditions, &states);
        for (index, (rule, evaluated)) in rules.into_iter().zip(evaluated).enumerate() {
            let prefix = format!("Choices[{index}]/");
            let place = format!("{prefix}Condition");
            match self.value(here, &place, evaluated)? {
                Value::Bool(true) => {
                    return self.leave(here, line, rule, &prefix, here.input.clone(), &states);
                }
                Value::Bool(false) => {}
                other => return Err(query_error(here.name, &place, &format!("{other} is not boolean"))),
            }
        }
        let (output, _) = self.leave(here, line, here.fields, "", here.input.clone(), &states)?;
        Ok((output, here.fields["Default"].as_str()))
    }

    /// Tried, tried again as `Retry` says, caught as `Catch` says.
    fn attempts<'b>(
        &mut self,
        here: &mut Here<'b>,
        line: &mut Line,
    ) -> Result<(Value, Option<&'b str>), Stop> {
        let fields = here.fields;
        let mut tried = vec![0_u32; list(fields, "Retry").count()];
        loop {
            let attempt = match fields["Type"].as_str() {
                Some("Task") => self.task(here, line),
                Some("Map") => self.map(here, line),
                _ => self.parallel(here, line),
            };
            let result = attempt.and_then(|result| {
                self.leave(
                    here,
                    line,
                    fields,
                    "",
                    result.clone(),
                    &json!({ "result": result }),
                )
            });
            let failure = match result {
                Err(Stop::Failed(failure)) => failure,
                other => return other,
            };
            if let Some(seconds) = retry_delay(fields, &mut tried, &failure.error) {
                line.now += SignedDuration::from_secs(seconds);
                here.retries += 1;
                continue;
            }
            for (index, catcher) in list(fields, "Catch").enumerate() {
                if names(catcher, &failure.error) {
                    let error = json!({ "Error": failure.error, "Cause": failure.cause });
                    let states = json!({ "errorOutput": error });
                    return self.leave(here, line, catcher, &format!("Catch[{index}]/"), error, &states);
                }
            }
            return Err(Stop::Failed(failure));
        }
    }

    fn task(&mut self, here: &Here<'_>, line: &mut Line) -> Result<Value, Stop> {
        let arguments = self.fill(here, line, &here.fields["Arguments"], "Arguments", &json!({}))?;
        let call = Call {
            state: here.name.to_owned(),
            resource: here.fields["Resource"].as_str().unwrap_or_default().to_owned(),
            arguments,
            at: line.now,
        };
        self.trace.calls.push(call.clone());
        self.happened(3, line)?;
        let Reply { seconds, result } = self.world.answer(&call);
        let timeout = here.fields["TimeoutSeconds"].as_u64().unwrap_or(u64::MAX);
        if u64::from(seconds) > timeout {
            line.now += SignedDuration::from_secs(i64::try_from(timeout).unwrap_or(i64::MAX));
            return Err(Stop::failed("States.Timeout", ""));
        }
        line.now += SignedDuration::from_secs(seconds.into());
        let result = result.map_err(Stop::Failed)?;
        check_size(here.name, &result)?;
        Ok(result)
    }

    fn parallel(&mut self, here: &Here<'_>, line: &mut Line) -> Result<Value, Stop> {
        self.happened(2, line)?;
        let began = line.clone();
        let mut outputs = Vec::new();
        for branch in list(here.fields, "Branches") {
            let mut own = began.clone();
            outputs.push(self.program(branch, &mut own, here.input.clone())?);
            line.now = line.now.max(own.now);
        }
        Ok(Value::Array(outputs))
    }

    /// Item by item, as with a `MaxConcurrency` of 1.
    fn map(&mut self, here: &Here<'_>, line: &mut Line) -> Result<Value, Stop> {
        let items = self.fill(here, line, &here.fields["Items"], "Items", &json!({}))?;
        let Value::Array(items) = items else {
            return Err(query_error(here.name, "Items", &format!("{items} is no array")));
        };
        self.happened(2, line)?;
        let mut outputs = Vec::new();
        for item in items {
            // An iteration begins and ends.
            self.happened(2, line)?;
            let mut own = line.clone();
            outputs.push(self.program(&here.fields["ItemProcessor"], &mut own, item)?);
            line.now = line.now.max(own.now);
        }
        Ok(Value::Array(outputs))
    }

    /// `Output` and `Assign` of a state, rule or catcher: both see the variables as they were on entry.
    fn leave<'b>(
        &mut self,
        here: &Here<'_>,
        line: &mut Line,
        holder: &'b Value,
        prefix: &str,
        default: Value,
        states: &Value,
    ) -> Result<(Value, Option<&'b str>), Stop> {
        let mut template = json!({});
        for field in ["Assign", "Output"] {
            if let Some(value) = holder.get(field) {
                template[field] = value.clone();
            }
        }
        let mut filled = self.fill(here, line, &template, prefix.trim_end_matches('/'), states)?;
        let assigned = filled["Assign"].take();
        let output = if holder.get("Output").is_some() {
            filled["Output"].take()
        } else {
            default
        };
        check_size(here.name, &assigned)?;
        if let Value::Object(assigned) = assigned {
            line.variables.extend(assigned);
        }
        Ok((output, holder["Next"].as_str()))
    }

    /// A template with its expressions evaluated.
    fn fill(
        &mut self,
        here: &Here<'_>,
        line: &Line,
        template: &Value,
        place: &str,
        states: &Value,
    ) -> Result<Value, Stop> {
        let mut found = Vec::new();
        expressions(template, place.to_owned(), &mut found);
        let texts: Vec<_> = found.iter().map(|(_, expression)| *expression).collect();
        let evaluated = self.evaluate(here, line, &texts, states);
        let mut values = Vec::new();
        for ((place, _), evaluated) in found.iter().zip(evaluated) {
            values.push(self.value(here, place.trim_start_matches('/'), evaluated)?);
        }
        Ok(self.filled(template, &mut values.into_iter()))
    }

    /// A template with its expressions replaced by these values, in their order.
    fn filled(&self, template: &Value, values: &mut impl Iterator<Item = Value>) -> Value {
        match template {
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), self.filled(value, values)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.filled(item, values)).collect(),
            Value::String(text) if expression(text).is_some() => values.next().unwrap_or_default(),
            Value::String(text) => self.substitute(text),
            other => other.clone(),
        }
    }

    fn evaluate(&self, here: &Here<'_>, line: &Line, texts: &[&str], states: &Value) -> Vec<Evaluated> {
        if texts.is_empty() {
            return Vec::new();
        }
        let mut states = states.clone();
        states["input"] = here.input.clone();
        states["context"] = json!({
            "Execution": self.execution,
            "State": { "Name": here.name, "EnteredTime": line.now, "RetryCount": here.retries },
            "StateMachine": { "Id": STATE_MACHINE, "Name": "machine" },
        });
        let mut variables = line.variables.clone();
        variables.insert("states".to_owned(), states);
        let texts: Vec<_> = texts.iter().map(|text| self.substituted(text)).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        evaluate(&texts, &variables, line.now)
    }

    /// The value that an expression has come to.
    fn value(&mut self, here: &Here<'_>, place: &str, evaluated: Evaluated) -> Result<Value, Stop> {
        self.trace
            .expressions
            .insert((here.name.to_owned(), place.to_owned()));
        match evaluated {
            Evaluated::Value(value) => Ok(value),
            Evaluated::Nothing => Err(query_error(here.name, place, "returned nothing (undefined)")),
            Evaluated::Error(error) => Err(query_error(here.name, place, &error)),
        }
    }

    fn substitute(&self, text: &str) -> Value {
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let value = name.and_then(|name| self.substitutions.get(name));
        value.cloned().unwrap_or_else(|| json!(self.substituted(text)))
    }

    /// A text in which every substitution that is a text has been made.
    fn substituted(&self, text: &str) -> String {
        let texts = self.substitutions.iter();
        texts
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${{{name}}}"), value)
            })
    }
}
