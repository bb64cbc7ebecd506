//! The outcomes that a function can answer are the ones that the state after it knows.

use std::collections::BTreeSet;

use tidegate_domain::outcome::{
    BootstrapOutcome, CheckOutcome, ChooseOutcome, CordonOutcome, DestroyOutcome, DrainOutcome, EvictOutcome,
    LabelOutcome, LaunchOutcome, ResolveOutcome, RetireOutcome, TurnOutcome, VolumesOutcome, WorkerOutcome,
};

use crate::definition::{Scope, list, machines};
use crate::repository::functions;

/// Where the outcomes stand.
const SOURCE: &str = "functions/shared/domain/src/outcome.rs";

fn outcomes(function: &str) -> &'static [&'static str] {
    match function {
        "resolve-node" => ResolveOutcome::ALL,
        "take-turn" => TurnOutcome::ALL,
        "judge-launch" => LaunchOutcome::ALL,
        "label-node" => LabelOutcome::ALL,
        "provision-volumes" => VolumesOutcome::ALL,
        "schedule-worker" => WorkerOutcome::ALL,
        "choose-victims" => ChooseOutcome::ALL,
        "cordon-node" => CordonOutcome::ALL,
        "evict-pods" => EvictOutcome::ALL,
        "drain-cache" => DrainOutcome::ALL,
        "retire-worker" => RetireOutcome::ALL,
        "check-drift" => CheckOutcome::ALL,
        "bootstrap-cluster" => BootstrapOutcome::ALL,
        "destroy-cluster" => DestroyOutcome::ALL,
        other => panic!("{other} is new: name its outcomes in {SOURCE} and here"),
    }
}

#[test]
fn the_state_after_a_function_knows_exactly_that_functions_outcomes() {
    for machine in machines() {
        let file = machine.file;
        for state in machine.scopes().iter().flat_map(Scope::states) {
            let Some(function) = state.function() else {
                continue;
            };
            let name = format!("{}Outcome", state.name);
            assert_eq!(
                state.fields["Next"],
                name.as_str(),
                "{file}: after {} comes {name}",
                state.name
            );
            let states = machine.states();
            let choice = states.iter().find(|other| other.name == name);
            let choice = choice.unwrap_or_else(|| panic!("{file}: there is no state {name}"));
            assert_eq!(choice.kind(), "Choice", "{file}: {name}");
            let conditions = list(choice.fields, "Choices").filter_map(|rule| rule["Condition"].as_str());
            let compared: BTreeSet<_> = conditions.flat_map(compared_outcomes).collect();
            let known: BTreeSet<_> = outcomes(&function).iter().copied().collect();
            assert_eq!(
                compared, known,
                "the outcomes that {name} of {file} compares (left) and those of {function} in {SOURCE} (right) differ"
            );
            let default = choice.fields["Default"].as_str().unwrap_or_default();
            assert!(
                default.starts_with("Unknown"),
                "{file}: {name} must lead an outcome that it does not know to a state that says so, not to {default:?}"
            );
        }
    }
}

/// The texts that an expression compares `$states.input.outcome` with.
fn compared_outcomes(condition: &str) -> impl Iterator<Item = &str> {
    let comparisons = condition.split("$states.input.outcome = '").skip(1);
    comparisons.filter_map(|rest| rest.split('\'').next())
}

#[test]
fn each_function_has_named_outcomes() {
    for function in functions() {
        assert!(!outcomes(&function).is_empty(), "{SOURCE}: {function}");
    }
}
