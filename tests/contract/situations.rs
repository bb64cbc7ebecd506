//! The table of `docs/operations.md` that says what each situation comes to. Every row is walked through the state machine
//! that it is about, so that neither can change without the other. A new row needs a walk here, and a new walk a row there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_domain::error::ErrorName;
use tidegate_domain::outcome::DrainOutcome;

use crate::account::by_hand;
use crate::claims::gave_way;
use crate::definition::machines;
use crate::drain::{
    clean, never_saved_and_not_retained, never_saved_and_retained, no_node, of_another_group,
    over_when_abandoned, retains_no_more, saved_late, taken_back, without_disks,
    without_disks_and_with_a_worker, worker_lost, worker_stays,
};
use crate::drain_by_hand::{
    at_minimum, bad_input, ending_refused, kept, kept_with_its_worker, never_ended, of_ended_instance,
    of_instance_in, of_retained_instance_again_incomplete, of_retained_instance_unseen, unseen_at_the_end,
};
use crate::drain_in_trouble::{
    completion_fails, hook_gone, outage, throttled, unresolved, unseen_while_retiring,
};
use crate::ending::Ending;
use crate::join;
use crate::join_in_trouble;
use crate::plans;
use crate::repository::read;
use crate::several;
use crate::template::template;

const PAGE: &str = "docs/operations.md";
const HEADER: &str = "| of | situation | outcome | execution | hook | alarm |";

/// A walk for each row, by its `of` and its `situation`.
#[allow(clippy::too_many_lines, reason = "an entry for each row of the table")]
fn walks() -> Vec<(&'static str, &'static str, Ending)> {
    vec![
        ("drain", "all is saved, the worker is gone, a hook waits", clean()),
        (
            "drain",
            "all is saved, the worker is gone, and the drain was started by hand: the instance is ended",
            of_instance_in("InService"),
        ),
        (
            "drain",
            "the same with `\"terminate\": false`: the instance stays",
            kept(),
        ),
        (
            "drain",
            "the instance was retained, and now all is saved: it is ended",
            of_instance_in("Terminating:Retained"),
        ),
        (
            "drain",
            "there is no worker, and nothing was unsaved before",
            no_node(),
        ),
        (
            "drain",
            "all is saved, the worker's pod does not go, and the instance ends",
            worker_stays(),
        ),
        (
            "drain",
            "all is saved, the worker's pod does not go, and the instance stays",
            kept_with_its_worker(),
        ),
        (
            "drain",
            "all is saved, and the hook cannot be completed for ten minutes",
            completion_fails(usize::MAX, throttled),
        ),
        (
            "drain",
            "all is saved, and the instance cannot be ended for ten minutes",
            never_ended(),
        ),
        (
            "drain",
            "all is saved, and the group has come to its minimum size meanwhile: it does not end the instance",
            ending_refused(),
        ),
        (
            "drain",
            "the group is at its minimum size, and would have to shrink",
            at_minimum(by_hand()),
        ),
        (
            "drain",
            "all was saved, but nobody can say whether the worker is in service again; the group retains",
            outage(true, "retire-worker", "KubernetesUnavailable", i64::MAX),
        ),
        (
            "drain",
            "the same where the group does not retain: the hook is held to its end",
            unseen_while_retiring(),
        ),
        (
            "drain",
            "the same where no hook waits: the instance is not ended",
            unseen_at_the_end(),
        ),
        (
            "drain",
            "time is up with files unsaved, and the group retains",
            never_saved_and_retained(),
        ),
        (
            "drain",
            "time is up and the cache cannot be seen, and the group retains",
            outage(true, "drain-cache", "AlluxioUnavailable", i64::MAX),
        ),
        (
            "drain",
            "time is up with files unsaved, the group does not retain, and they are saved while the hook is held",
            saved_late(),
        ),
        (
            "drain",
            "the same, and they are not saved before the hook ends",
            never_saved_and_not_retained(),
        ),
        (
            "drain",
            "time is up with files unsaved, and the group's policy was taken off meanwhile: the hook is held to its end",
            retains_no_more(),
        ),
        (
            "drain",
            "time is up with files unsaved, and no hook waits: the instance is not ended",
            of_retained_instance_again_incomplete(),
        ),
        (
            "drain",
            "EC2 takes the instance with files unsaved, and a hook waits",
            taken_back(true, "Terminating:Wait").play(),
        ),
        (
            "drain",
            "EC2 takes the instance with files unsaved, and no hook waits",
            taken_back(true, "InService").play(),
        ),
        (
            "drain",
            "the worker is gone, and files were unsaved when it was last seen",
            worker_lost(true),
        ),
        (
            "drain",
            "the instance was retained, and its worker cannot be seen any more: it is not ended",
            of_retained_instance_unseen(by_hand()),
        ),
        (
            "drain",
            "the hook ends with files unsaved, and the group keeps the instance",
            hook_gone(true, "drain-cache"),
        ),
        (
            "drain",
            "the hook ends with files unsaved, and the instance goes",
            hook_gone(false, "drain-cache"),
        ),
        (
            "drain",
            "the hook has ended when it is to be abandoned, and the instance goes",
            over_when_abandoned(false),
        ),
        (
            "drain",
            "the hook ends when all is saved, before the worker is gone",
            hook_gone(true, "retire-worker"),
        ),
        ("drain", "another execution has the node", gave_way()),
        (
            "drain",
            "the instance has ended, and nothing of it is left",
            of_ended_instance(),
        ),
        (
            "drain",
            "the group is not one of this cluster's",
            of_another_group(),
        ),
        ("drain", "the instance has no cache to care for", without_disks()),
        (
            "drain",
            "the instance should have no cache, and its node has a worker all the same",
            without_disks_and_with_a_worker(),
        ),
        ("drain", "the input names several instances", several::drains()),
        (
            "drain",
            "AWS cannot be asked what the execution is about",
            unresolved(ErrorName::AwsRefused),
        ),
        ("drain", "the input cannot be understood", bad_input()),
        ("drain", "it only plans", plans::drains().remove(0)),
        (
            "join",
            "the worker is in service, the node open",
            join::joined_at_once(),
        ),
        (
            "join",
            "the same, and somebody has cordoned the node",
            join::joined_cordoned(),
        ),
        ("join", "the node cannot carry a cache", first(join::unfit())),
        (
            "join",
            "the instance does not become a node in time",
            join::never_a_node(),
        ),
        (
            "join",
            "time is up, and nothing says that the node is to blame",
            first(join::out_of_time()),
        ),
        (
            "join",
            "a drain has the node, and the launch hook waits",
            first(join::overtaken(true)),
        ),
        (
            "join",
            "another join has the node, and the hook with it",
            first(join::overtaken(false)),
        ),
        ("join", "the launch hook has ended", join_in_trouble::hook_gone()),
        (
            "join",
            "the node has joined, and the hook cannot be completed for ten minutes",
            join_in_trouble::completion_fails(usize::MAX),
        ),
        (
            "join",
            "the instance has no cache to care for",
            join::without_disks(),
        ),
    ]
}

fn first<const N: usize>(endings: [Ending; N]) -> Ending {
    endings.into_iter().next().expect("one at least")
}

/// The cells of each row of the table.
fn rows() -> Vec<Vec<String>> {
    let page = read(PAGE);
    let lines = page.lines().skip_while(|line| *line != HEADER).skip(2);
    let rows: Vec<_> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(rows.len() > 20, "{PAGE} has no table with the header {HEADER}");
    rows
}

/// The alarm that the failed executions of a state machine raise, by the template.
fn alarm(file: &str) -> String {
    let machine = machines().into_iter().find(|machine| machine.file == file);
    let machine = machine.expect("a state machine").resource;
    let template = template();
    let resources = template["Resources"].as_object().into_iter().flatten();
    let counts_failures = |properties: &Value| {
        let metrics = properties["Metrics"].as_array().into_iter().flatten();
        let mut counted = metrics.map(|metric| &metric["MetricStat"]["Metric"]);
        counted.any(|metric| {
            metric["MetricName"] == "ExecutionsFailed"
                && metric["Dimensions"][0]["Value"] == json!({ "Ref": machine })
        }) && properties["Threshold"] == 0
    };
    let alarms: Vec<_> = resources
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .map(|(_, resource)| &resource["Properties"])
        .filter(|properties| counts_failures(properties))
        .filter_map(|properties| properties["AlarmName"]["Fn::Sub"].as_str())
        .collect();
    assert_eq!(
        alarms.len(),
        1,
        "an alarm that counts the failed executions of {file}"
    );
    alarms[0].trim_start_matches("${AWS::StackName}-").to_owned()
}

/// The cells that a walk comes to: outcome, execution, hook, alarm.
fn cells(ending: &Ending) -> [String; 4] {
    let fails = ending.result.is_err();
    let hook = ending
        .hook_results()
        .last()
        .map_or_else(|| "-".to_owned(), |result| format!("`{result}`"));
    let alarm = if fails {
        format!("`{}`", alarm(ending.file))
    } else {
        "-".to_owned()
    };
    let execution = if fails { "fails" } else { "succeeds" };
    [
        format!("`{}`", ending.outcome()),
        execution.to_owned(),
        hook,
        alarm,
    ]
}

#[test]
fn each_row_of_the_table_is_what_a_walk_comes_to() {
    let mut walked: BTreeMap<_, _> = walks()
        .into_iter()
        .map(|(of, situation, ending)| ((of.to_owned(), situation.to_owned()), ending))
        .collect();
    let mut wrong = Vec::new();
    for row in rows() {
        let [of, situation, told @ ..] = row.as_slice() else {
            panic!("{PAGE}: a row is {row:?}");
        };
        let Some(ending) = walked.remove(&(of.clone(), situation.clone())) else {
            wrong.push(format!("{PAGE} has a row that nothing walks: {of}, {situation}"));
            continue;
        };
        assert!(
            ending.file.contains(of.as_str()),
            "{situation} is about {}",
            ending.file
        );
        if hides_a_loss(&ending) {
            wrong.push(format!(
                "{situation}: files are left, and it ends as {}",
                ending.outcome()
            ));
        }
        let cells = cells(&ending);
        if told != cells {
            wrong.push(format!(
                "{situation}: {PAGE} says {told:?}, the state machine comes to {cells:?}"
            ));
        }
    }
    for ((of, situation), ending) in walked {
        let cells = cells(&ending).join(" | ");
        wrong.push(format!("{PAGE} lacks the row | {of} | {situation} | {cells} |"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_outcome_of_a_drain() {
    // `drained`, `incomplete` and the others of a function are one thing; those of an execution another.
    let told: Vec<_> = rows()
        .into_iter()
        .map(|row| row[2].trim_matches('`').to_owned())
        .collect();
    for machine in machines()
        .into_iter()
        .filter(|machine| machine.file.contains("/node-"))
    {
        for state in machine.states() {
            let outcome = state.fields["Assign"]["final"]["outcome"].as_str();
            let literal = outcome.filter(|outcome| !outcome.starts_with("{%") && *outcome != "unseen");
            if let Some(outcome) = literal {
                assert!(
                    told.contains(&outcome.to_owned()),
                    "{PAGE}: no row comes to {outcome}"
                );
            }
        }
    }
}

/// Whether files were left, or could not be seen, and the execution says otherwise.
fn hides_a_loss(ending: &Ending) -> bool {
    let events = ending.calls("putEvents");
    let detail = events
        .first()
        .and_then(|call| call["Entries"][0]["Detail"].as_str());
    let detail: Value = detail.map_or(Value::Null, |detail| serde_json::from_str(detail).expect("JSON"));
    let seen = &detail["seen"]["drainCache"];
    let left = seen["filesLeft"].as_u64().unwrap_or_default() > 0;
    let unseen = seen["outcome"] == DrainOutcome::Incomplete.as_str();
    (left || unseen) && !matches!(ending.outcome(), "incomplete" | "retained" | "stalled")
}
