//! What the documents say is so: every outcome and alarm is explained, every test that they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate_domain::outcome::{BootstrapOutcome, CheckOutcome, DestroyOutcome};

use crate::definition::{Scope, machines};
use crate::repository::{read, root};
use crate::template::template;

const PAGE: &str = "docs/operations.md";

/// The outcomes that executions end in, and the errors that they fail with.
fn endings() -> BTreeSet<String> {
    // Those of the drift check, of setting up and of destroying are their function's own; `failed` stands for a function
    // that has none. `applied`, `waiting`, `foreseen` and `emptied` end nothing.
    let set_up = BootstrapOutcome::ALL.iter().copied();
    let set_up = set_up.filter(|outcome| !matches!(*outcome, "applied" | "waiting"));
    let destroyed = DestroyOutcome::ALL.iter().copied();
    let destroyed = destroyed.filter(|outcome| !matches!(*outcome, "foreseen" | "waiting" | "emptied"));
    let mut found: BTreeSet<_> = CheckOutcome::ALL
        .iter()
        .copied()
        .chain(["failed"])
        .chain(set_up)
        .chain(destroyed)
        .map(str::to_owned)
        .collect();
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

/// The texts of all Rust files below a folder.
fn sources(folder: &Path) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).expect("readable"));
        }
    }
    found
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let sources = ["functions", "tests"]
        .map(|folder| sources(&root().join(folder)))
        .concat();
    for page in ["docs/triggers.md", "docs/drift.md"] {
        let text = read(page);
        let last_cells = text
            .lines()
            .filter_map(|line| line.strip_suffix('|')?.rsplit('|').next());
        let named: Vec<_> = last_cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .filter(|name| name.matches('_').count() >= 2)
            .collect();
        assert!(named.len() > 10, "{page} names {named:?}");
        for name in named {
            assert!(
                sources.contains(&format!("fn {name}(")),
                "{page} names {name}, which is no test"
            );
        }
    }
}
