use serde::Serialize;
use serde_json::Value;
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::outcome::Answer;
use tidegate_domain::subject::Subject;

/// A unit of a CloudWatch metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

/// A CloudWatch metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name, the unit in it.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: f64,
}

/// What a handler hands to the runtime: the answer to the state machine, and what the log line tells beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The answer, as JSON.
    pub answer: Value,
    /// The instance that it is about.
    pub instance_id: Option<String>,
    /// Its group: the one dimension of the metrics.
    pub group: Option<String>,
    /// The cluster, where it is about all of it: the one dimension of the metrics then.
    pub cluster: Option<String>,
    /// Metrics.
    pub metrics: Vec<Metric>,
}

impl Reply {
    /// A reply with that answer.
    ///
    /// # Errors
    /// `Defect` where the answer cannot be written as JSON.
    pub fn of<Outcome: Serialize, Facts: Serialize>(answer: &Answer<Outcome, Facts>) -> Result<Self> {
        let answer = serde_json::to_value(answer).map_err(|error| {
            Error::new(
                ErrorName::Defect,
                format!("the answer cannot be written: {error}"),
            )
        })?;
        Ok(Self {
            answer,
            instance_id: None,
            group: None,
            cluster: None,
            metrics: Vec::new(),
        })
    }

    /// The same about that node.
    #[must_use]
    pub fn about(mut self, subject: &Subject) -> Self {
        self.instance_id = Some(subject.instance_id.to_string());
        self.group = Some(subject.auto_scaling_group.clone());
        self
    }

    /// The same about that cluster as a whole.
    #[must_use]
    pub fn of_cluster(mut self, name: &str) -> Self {
        self.cluster = Some(name.to_owned());
        self
    }

    /// The same with one metric more.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn metric(mut self, name: &'static str, unit: Unit, value: u64) -> Self {
        self.metrics.push(Metric {
            name,
            unit,
            value: value as f64,
        });
        self
    }

    /// The outcome's name.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.answer["outcome"].as_str().unwrap_or_default()
    }
}
