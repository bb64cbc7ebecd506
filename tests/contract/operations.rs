//! What a person on call reads: every outcome and every alarm is explained.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::definition::{Scope, machines};
use crate::repository::read;
use crate::template::template;

const PAGE: &str = "docs/operations.md";

/// The outcomes that executions end in, and the errors that they fail with.
fn endings() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for machine in machines() {
        for state in machine.scopes().iter().flat_map(Scope::states) {
            let outcome = &state.fields["Assign"]["final"]["outcome"];
            let error = &state.fields["Error"];
            let literal = |text: &&str| !text.starts_with("{%");
            found.extend(
                [outcome, error]
                    .into_iter()
                    .filter_map(Value::as_str)
                    .filter(literal)
                    .map(str::to_owned),
            );
        }
    }
    found
}

#[test]
fn every_outcome_of_an_execution_has_a_section_and_no_other_has() {
    let page = read(PAGE);
    let sections = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_owned);
    assert_eq!(
        sections.collect::<BTreeSet<_>>(),
        endings(),
        "sections of {PAGE} (left), outcomes of the state machines (right)"
    );
}

#[test]
fn every_alarm_has_a_row_and_tells_the_topic() {
    let page = read(PAGE);
    let template = template();
    let resources = template["Resources"].as_object().expect("resources");
    let alarms: Vec<_> = resources
        .values()
        .filter(|resource| resource["Type"] == "AWS::CloudWatch::Alarm")
        .map(|resource| &resource["Properties"])
        .collect();
    assert!(!alarms.is_empty(), "the template has no alarm");
    for alarm in alarms {
        let name = alarm["AlarmName"]["Fn::Sub"]
            .as_str()
            .expect("a name")
            .trim_start_matches("${AWS::StackName}-");
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{PAGE} says nothing of the alarm {name}"
        );
        assert!(alarm["AlarmActions"].is_object(), "{name} notifies nobody");
    }
}
