//! What Step Functions refuses, or what would hang: found before a deployment does.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Machine, Scope, State, machines};

/// Seconds that a lifecycle hook lasts at the longest.
const LONGEST_HOOK: u64 = 172_800;
/// Seconds that saving the caches of a whole cluster may take, and deleting its stack after that.
const LONGEST_DESTROY: u64 = 36_000 + 4 * 3_600;
/// Seconds after which a machine must have given up, whatever happens: the longest hook and a few hours.
const LONGEST_MACHINE: u64 = LONGEST_HOOK + 4 * 3_600;

#[test]
fn a_machine_outlasts_the_longest_hook_and_not_much_more() {
    for machine in machines() {
        let seconds = machine.definition["TimeoutSeconds"].as_u64().unwrap_or(u64::MAX);
        let holds_a_hook = machine.definition["States"]["CompleteHook"].is_object();
        let range = if holds_a_hook {
            LONGEST_HOOK..=LONGEST_MACHINE
        } else if machine.resource == "ClusterDestroy" {
            36_000 + 7_200..=LONGEST_DESTROY
        } else {
            300..=3_600
        };
        assert!(
            range.contains(&seconds),
            "{}: TimeoutSeconds is {seconds}",
            machine.file
        );
    }
}

#[test]
fn every_task_has_a_timeout() {
    for machine in machines() {
        for state in machine.states().iter().filter(|state| state.kind() == "Task") {
            let seconds = state.fields["TimeoutSeconds"].as_u64();
            // A function may run for 30 s; above that Lambda itself has ended it.
            let most = if state.function().is_some() { 60 } else { 30 };
            assert!(
                seconds.is_some_and(|seconds| (10..=most).contains(&seconds)),
                "{}: TimeoutSeconds of {} is {seconds:?}",
                machine.file,
                state.name
            );
        }
    }
}

#[test]
fn machines_and_their_tasks_say_what_they_are_for() {
    for machine in machines() {
        assert!(
            machine.definition["Comment"].is_string(),
            "{}: Comment",
            machine.file
        );
        for state in machine.states() {
            let needed = matches!(state.kind(), "Task" | "Parallel" | "Map");
            assert!(
                !needed || state.fields["Comment"].is_string(),
                "{}: {} has no Comment",
                machine.file,
                state.name
            );
        }
    }
}

#[test]
fn every_state_can_be_reached_and_leads_on_or_ends() {
    for machine in machines() {
        for scope in machine.scopes() {
            let states: BTreeMap<_, _> = scope.states().map(|state| (state.name, state)).collect();
            let start = scope.program["StartAt"].as_str().unwrap_or_default();
            let mut reached = BTreeSet::new();
            let mut ahead = vec![start];
            while let Some(name) = ahead.pop() {
                let state = states
                    .get(name)
                    .unwrap_or_else(|| panic!("{}: there is no state {name} here", machine.file));
                if reached.insert(name) {
                    ahead.extend(state.leads_to());
                    leads_on_or_ends(&machine, state);
                }
            }
            for name in states.keys() {
                assert!(
                    reached.contains(name),
                    "{}: {name} cannot be reached",
                    machine.file
                );
            }
        }
    }
}

fn leads_on_or_ends(machine: &Machine, state: &State<'_>) {
    let ends = matches!(state.kind(), "Succeed" | "Fail") || state.fields["End"] == true;
    let on = if state.kind() == "Choice" {
        "Default"
    } else {
        "Next"
    };
    assert_ne!(
        ends,
        state.fields[on].is_string(),
        "{}: {} must have either {on} or an end",
        machine.file,
        state.name
    );
}

#[test]
fn every_state_can_come_to_an_end() {
    for machine in machines() {
        for scope in machine.scopes() {
            let mut ending: BTreeSet<_> = scope
                .states()
                .filter(|state| matches!(state.kind(), "Succeed" | "Fail") || state.fields["End"] == true)
                .map(|state| state.name)
                .collect();
            loop {
                let before = ending.len();
                let leads = |state: &State<'_>| state.leads_to().iter().any(|next| ending.contains(next));
                let more: Vec<_> = scope.states().filter(leads).map(|state| state.name).collect();
                ending.extend(more);
                if ending.len() == before {
                    break;
                }
            }
            for state in scope.states() {
                assert!(
                    ending.contains(state.name),
                    "{}: {} never ends",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

#[test]
fn state_names_are_those_of_one_state_only() {
    for machine in machines() {
        let mut names = BTreeSet::new();
        for state in machine.states() {
            assert!(
                names.insert(state.name),
                "{}: {} stands there twice",
                machine.file,
                state.name
            );
        }
    }
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html#variable-scope>
#[test]
fn a_branch_assigns_no_variable_that_the_machine_around_it_assigns() {
    for machine in machines() {
        let scopes = machine.scopes();
        let assigned: Vec<_> = scopes.iter().map(assigned).collect();
        for (place, scope) in scopes.iter().enumerate() {
            let mut outer = scope.outer;
            while let Some(around) = outer {
                let twice: Vec<_> = assigned[place].intersection(&assigned[around]).collect();
                assert!(
                    twice.is_empty(),
                    "{}: {twice:?} is assigned in a branch and around it; Step Functions refuses that",
                    machine.file
                );
                outer = scopes[around].outer;
            }
        }
    }
}

#[test]
fn every_variable_that_is_read_is_assigned_somewhere() {
    for machine in machines() {
        let scopes = machine.scopes();
        for scope in &scopes {
            let mut known = assigned(scope);
            let mut outer = scope.outer;
            while let Some(around) = outer {
                known.extend(assigned(&scopes[around]));
                outer = scopes[around].outer;
            }
            for state in scope.states() {
                for (place, expression) in state.expressions() {
                    for name in variables(expression) {
                        assert!(
                            known.contains(name),
                            "{}: {}, {place} reads ${name}, which nothing assigns",
                            machine.file,
                            state.name
                        );
                    }
                }
            }
        }
    }
}

fn assigned<'a>(scope: &Scope<'a>) -> BTreeSet<&'a str> {
    scope.states().flat_map(|state| state.assigned()).collect()
}

/// The variables of ours that an expression reads: names after `$`, without functions, their parameters and
/// `$states`.
fn variables(expression: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let parameters: Vec<_> = expression
        .split("function(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|parameters| parameters.split(','))
        .map(|parameter| parameter.trim().trim_start_matches('$'))
        .collect();
    let after_dollar = expression.split('$').skip(1);
    after_dollar
        .map(|rest| rest.split_at(word(rest).unwrap_or(rest.len())))
        .filter(|(name, rest)| !rest.starts_with('(') && !name.is_empty() && *name != "states")
        .map(|(name, _)| name)
        .filter(|name| !parameters.contains(name))
        .collect()
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>: read elsewhere, they are refused when
/// the machine is created.
#[test]
fn results_and_errors_are_read_only_where_they_are() {
    for machine in machines() {
        for state in machine.states() {
            for (place, expression) in state.expressions() {
                let of_result = matches!(state.kind(), "Task" | "Parallel" | "Map")
                    && (place.starts_with("Assign") || place.starts_with("Output"));
                assert!(
                    of_result || !expression.contains("$states.result"),
                    "{}: {}, {place} has no $states.result",
                    machine.file,
                    state.name
                );
                assert!(
                    place.starts_with("Catch[") || !expression.contains("$states.errorOutput"),
                    "{}: {}, {place} has no $states.errorOutput",
                    machine.file,
                    state.name
                );
            }
        }
    }
}

/// Step Functions has `JSONata` 2.0.6; the engine of these tests is newer.
#[test]
fn no_expression_needs_a_newer_jsonata_than_step_functions_has() {
    for machine in machines() {
        for state in machine.states() {
            for (place, expression) in state.expressions() {
                for newer in ["??", "?:", "$eval("] {
                    assert!(
                        !expression.contains(newer),
                        "{}: {}, {place} uses {newer}",
                        machine.file,
                        state.name
                    );
                }
            }
        }
    }
}

/// A fragment that is no expression as a whole is a text to Step Functions.
#[test]
fn expressions_fill_their_text() {
    for machine in machines() {
        let text = machine.definition.to_string();
        let whole: usize = machine
            .states()
            .iter()
            .map(|state| state.expressions().len())
            .sum();
        assert_eq!(
            text.matches("{%").count(),
            whole,
            "{}: a {{% without its %}}",
            machine.file
        );
        assert_eq!(
            text.matches("%}").count(),
            whole,
            "{}: a %}} without its {{%",
            machine.file
        );
    }
}
