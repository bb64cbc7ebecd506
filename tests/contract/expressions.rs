//! No expression goes untried: each is evaluated in some walk, and none of them comes to nothing there.

use std::collections::BTreeSet;

use tidegate_domain::error::ErrorName;

use crate::definition::machines;
use crate::ending::Ending;
use crate::{
    bootstrap, claims, destroy, drain, drain_by_hand, drain_in_trouble, drift_check, join, join_in_trouble,
    launches, plans, several, turns,
};

fn joins() -> Vec<Ending> {
    let single = [
        join::joined_at_once(),
        join::joined_after_waiting(),
        join::joined_by_hand(),
        join::of_another_group(),
        join::without_disks(),
        join::of_a_stranger_by_hand(),
        join::while_it_leaves(),
        join::never_a_node(),
        join_in_trouble::hook_gone(),
        join_in_trouble::beats_fail(),
        join_in_trouble::completion_fails(usize::MAX),
        join_in_trouble::completed_elsewhere(),
        join_in_trouble::bus_fails(),
        join_in_trouble::unresolved(ErrorName::AwsRefused),
        join_in_trouble::unresolved(ErrorName::AwsUnavailable),
    ];
    let several = [
        Vec::from(join::overtaken(true)),
        Vec::from(join::overtaken(false)),
        vec![claims::joined_with_the_wishes_of_another()],
        Vec::from(join::unfit()),
        Vec::from(join::out_of_time()),
        Vec::from(join_in_trouble::outage("KubernetesRefused", 100)),
        Vec::from(join_in_trouble::outage("KubernetesUnavailable", i64::MAX)),
        join_in_trouble::bad_inputs()
            .into_iter()
            .map(|(_, ending)| ending)
            .collect(),
        join_in_trouble::unknown_outcomes(),
        plans::joins(),
        launches::all(),
    ];
    single.into_iter().chain(several.into_iter().flatten()).collect()
}

fn drains() -> Vec<Ending> {
    [
        drain::all(),
        drain_by_hand::all(),
        drain_in_trouble::all(),
        claims::drains(),
        plans::drains(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn each_expression_is_evaluated_in_a_walk_and_comes_to_a_value_of_the_right_kind() {
    let endings: Vec<_> = joins()
        .into_iter()
        .chain(drains())
        .chain(drift_check::all())
        .chain(bootstrap::all())
        .chain(destroy::all())
        .chain(several::all())
        .chain(turns::all())
        .collect();
    for ending in &endings {
        if let Err(failure) = &ending.result {
            assert_ne!(
                failure.error, "States.QueryEvaluationError",
                "{}: {}",
                ending.file, failure.cause
            );
        }
    }
    for machine in machines() {
        let mut tried = BTreeSet::new();
        for ending in endings.iter().filter(|ending| ending.file == machine.file) {
            tried.extend(&ending.trace.expressions);
        }
        for state in machine.states() {
            for (place, expression) in state.expressions() {
                assert!(
                    tried.contains(&(state.name.to_owned(), place.clone())),
                    "{}: {}, {place} ({expression}) is evaluated in no walk; add one to tests/contract",
                    machine.file,
                    state.name
                );
            }
        }
    }
}
