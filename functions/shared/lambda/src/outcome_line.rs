use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_domain::error::Result;

use crate::reply::{Metric, Reply};

/// What the runtime knows of a call.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The function.
    pub function: &'a str,
    /// The request id of the invocation.
    pub request_id: &'a str,
    /// How often the state machine has tried again.
    pub retry_count: u64,
    /// How long the call took.
    pub duration_millis: u64,
    /// When it ended.
    pub now: Timestamp,
    /// The namespace of the metrics.
    pub namespace: &'a str,
}

/// The one log line of a call, a JSON object: what came of it, and its metrics in CloudWatch's embedded metric
/// format (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
/// Without a group or a cluster there is no dimension, so no metric.
#[must_use]
pub fn outcome_line(circumstances: &Circumstances<'_>, result: &Result<Reply>) -> Value {
    let Circumstances {
        function,
        request_id,
        retry_count,
        duration_millis,
        now,
        namespace,
    } = *circumstances;
    let mut line = json!({
        "timestamp": now,
        "level": if result.is_ok() { "INFO" } else { "ERROR" },
        "function": function,
        "requestId": request_id,
        "retryCount": retry_count,
        "durationMillis": duration_millis,
    });
    match result {
        Ok(reply) => {
            if let Some(id) = &reply.instance_id {
                line["instanceId"] = json!(id);
            }
            for (key, value) in reply.answer.as_object().into_iter().flatten() {
                // Carried from call to call, and long: it is in the execution's history.
                if !matches!(
                    key.as_str(),
                    "node" | "apiServer" | "progress" | "memory" | "findings" | "table"
                ) {
                    line[key] = value.clone();
                }
            }
            let dimension = match (&reply.group, &reply.cluster) {
                (Some(group), _) => Some(("autoScalingGroup", group)),
                (None, Some(cluster)) => Some(("clusterName", cluster)),
                (None, None) => None,
            };
            if let Some((dimension, value)) = dimension {
                line[dimension] = json!(value);
                let retries = (retry_count > 0).then_some(Metric {
                    name: "Retries",
                    unit: crate::Unit::Count,
                    #[allow(clippy::cast_precision_loss)]
                    value: retry_count as f64,
                });
                embed(
                    &mut line,
                    namespace,
                    dimension,
                    now,
                    reply.metrics.iter().copied().chain(retries),
                );
            }
        }
        Err(error) => {
            line["error"] = json!(error.name.as_str());
            line["reason"] = json!(error.message);
        }
    }
    line
}

fn embed(
    line: &mut Value,
    namespace: &str,
    dimension: &str,
    now: Timestamp,
    metrics: impl Iterator<Item = Metric>,
) {
    let (mut definitions, mut values) = (Vec::new(), Map::new());
    for metric in metrics {
        definitions.push(json!({ "Name": metric.name, "Unit": metric.unit }));
        values.insert(metric.name.to_owned(), json!(metric.value));
    }
    if definitions.is_empty() {
        return;
    }
    line["_aws"] = json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{
            "Namespace": namespace,
            "Dimensions": [[dimension]],
            "Metrics": definitions,
        }],
    });
    if let Some(object) = line.as_object_mut() {
        object.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Unit;
    use tidegate_domain::error::{Error, ErrorName};

    fn circumstances(retry_count: u64) -> Circumstances<'static> {
        Circumstances {
            function: "label-node",
            request_id: "r-1",
            retry_count,
            duration_millis: 12,
            now: Timestamp::UNIX_EPOCH,
            namespace: "Tidegate",
        }
    }

    fn reply() -> Reply {
        Reply {
            answer: json!({"outcome": "labelled", "reason": "done", "node": {"much": 1}, "apiServer": {"much": 1}}),
            instance_id: Some("i-0123abcd".into()),
            group: Some("nvme".into()),
            cluster: None,
            metrics: Vec::new(),
        }
    }

    #[test]
    fn an_outcome_is_one_object_with_its_reason_and_ids() {
        let line = outcome_line(&circumstances(0), &Ok(reply()));
        assert_eq!(line["outcome"], "labelled");
        assert_eq!(line["instanceId"], "i-0123abcd");
        assert_eq!(line["durationMillis"], 12);
        assert_eq!((line.get("node"), line.get("apiServer")), (None, None));
        assert_eq!(line.get("_aws"), None);
    }

    #[test]
    fn a_metric_stands_beside_the_outcome_with_the_group_as_its_dimension() {
        let line = outcome_line(
            &circumstances(0),
            &Ok(reply().metric("JoinSeconds", Unit::Seconds, 41)),
        );
        assert_eq!(line["JoinSeconds"], 41.0);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Tidegate");
        assert_eq!(directive["Dimensions"], json!([["autoScalingGroup"]]));
        assert_eq!(
            directive["Metrics"],
            json!([{"Name": "JoinSeconds", "Unit": "Seconds"}])
        );
        assert_eq!(line["autoScalingGroup"], "nvme");
    }

    #[test]
    fn what_is_about_a_whole_cluster_has_the_cluster_as_its_dimension_and_keeps_long_reports_out_of_the_log()
    {
        let reply = Reply {
            answer: json!({"outcome": "drifted", "counts": {"drain-stalled": 1}, "table": "long", "memory": {}}),
            instance_id: None,
            group: None,
            cluster: None,
            metrics: Vec::new(),
        };
        let reply = reply.of_cluster("prod").metric("DriftFound", Unit::Count, 1);
        let line = outcome_line(&circumstances(0), &Ok(reply));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["clusterName"]]));
        assert_eq!(
            (&line["clusterName"], &line["DriftFound"]),
            (&json!("prod"), &json!(1.0))
        );
        assert_eq!(line["counts"]["drain-stalled"], 1);
        assert!(line.get("table").is_none() && line.get("memory").is_none());
    }

    #[test]
    fn retries_are_counted_when_there_are_any() {
        assert_eq!(outcome_line(&circumstances(2), &Ok(reply()))["Retries"], 2.0);
        assert_eq!(outcome_line(&circumstances(0), &Ok(reply())).get("Retries"), None);
    }

    #[test]
    fn an_error_is_told_by_the_name_that_the_state_machine_sees() {
        let error = Error::new(ErrorName::KubernetesRefused, "nodes are forbidden");
        let line = outcome_line(&circumstances(0), &Err(error));
        assert_eq!(line["error"], "KubernetesRefused");
        assert_eq!(line["reason"], "nodes are forbidden");
        assert_eq!(line["level"], "ERROR");
    }
}
