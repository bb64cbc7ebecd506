//! The reference engine of `JSONata`, in a process of its own.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::repository;

/// One for all tests of this process; it ends with it, as its stdin is closed then.
static ENGINE: LazyLock<Mutex<Engine>> = LazyLock::new(|| Mutex::new(Engine::start()));

struct Engine {
    /// Kept so that the process is reaped where it ends first.
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Engine {
    fn start() -> Self {
        let script = repository::root().join("tests/jsonata/evaluate.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .env("TIDEGATE_TOOLS", tools())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let requests = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Self {
            process,
            requests,
            answers,
        }
    }

    /// Asks several things at once: most of the time of one question goes into waking the other process.
    fn ask(&mut self, requests: &str) -> Vec<Value> {
        let sent = self.requests.write_all(requests.as_bytes());
        let count = requests.lines().count();
        let answers: Vec<_> = self
            .answers
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .take(count)
            .collect();
        if sent.is_err() || answers.len() < count {
            let ended = self.process.wait();
            panic!("tests/jsonata/evaluate.mjs has ended: {ended:?} ({sent:?})");
        }
        let read = |answer: &String| serde_json::from_str(answer).expect("evaluate.mjs answers JSON");
        answers.iter().map(read).collect()
    }
}

/// Where the pinned tools are.
fn tools() -> String {
    env::var("TIDEGATE_TOOLS").unwrap_or_else(|_| {
        let installed = Command::new(repository::root().join("infra/local/setup/install.sh"))
            .stderr(Stdio::inherit())
            .output()
            .expect("install.sh runs");
        assert!(installed.status.success(), "infra/local/setup/install.sh failed");
        String::from_utf8_lossy(&installed.stdout).trim().to_owned()
    })
}

/// What an expression comes to: a value, nothing, or the engine's message.
pub(crate) enum Evaluated {
    /// A JSON value.
    Value(Value),
    /// No value, which fails a state on AWS.
    Nothing,
    /// An error.
    Error(String),
}

/// Evaluates expressions with those variables, as of that time.
pub(crate) fn evaluate(
    expressions: &[&str],
    variables: &Map<String, Value>,
    now: Timestamp,
) -> Vec<Evaluated> {
    let now = now.as_millisecond();
    let mut requests = String::new();
    for expression in expressions {
        let request = json!({ "expression": expression, "bindings": variables, "now": now });
        requests.extend([request.to_string().as_str(), "\n"]);
    }
    let answers = ENGINE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .ask(&requests);
    let read = |mut answer: Value| {
        if let Some(error) = answer["error"].as_str() {
            Evaluated::Error(error.to_owned())
        } else if answer["undefined"] == json!(true) {
            Evaluated::Nothing
        } else {
            Evaluated::Value(answer["value"].take())
        }
    };
    answers.into_iter().map(read).collect()
}
