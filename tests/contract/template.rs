//! The template: what is deployed is what the sources say.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::definition::{Machine, fields, list, machines};
use crate::repository::{self, functions, pascal_case};

const FILE: &str = "infra/template.yaml";
/// Where the mains of several functions read settings together.
const WIRING: &str = "functions/shared/wiring/src/lib.rs";
/// What gives a resource of the template a name that the account or the region knows it by.
const PHYSICAL_NAMES: [&str; 11] = [
    "AlarmName",
    "DashboardName",
    "FunctionName",
    "GroupName",
    "LogGroupName",
    "ManagedPolicyName",
    "Name",
    "QueueName",
    "RoleName",
    "StateMachineName",
    "TopicName",
];
/// Seconds that a function may run: a call watches for 20 of them.
const TIMEOUT: u64 = 30;

/// The template, `CloudFormation`'s short tags written out.
pub(crate) fn template() -> Value {
    repository::yaml(FILE).remove(0)
}

/// The properties of a resource.
pub(crate) fn properties<'a>(template: &'a Value, resource: &str) -> &'a Value {
    let properties = &template["Resources"][resource]["Properties"];
    assert!(!properties.is_null(), "{FILE} has no resource {resource}");
    properties
}

/// `DefinitionSubstitutions` of a state machine.
pub(crate) fn substitutions(machine: &Machine) -> Map<String, Value> {
    let template = template();
    fields(properties(&template, machine.resource), "DefinitionSubstitutions").clone()
}

fn names<'a>(keys: impl IntoIterator<Item = &'a String>) -> BTreeSet<&'a str> {
    keys.into_iter().map(String::as_str).collect()
}

#[test]
fn a_machines_substitutions_are_exactly_those_that_its_definition_uses() {
    for machine in machines() {
        let given = substitutions(&machine);
        let used = machine.substitutions();
        let (given, used) = (names(given.keys()), names(&used));
        assert_eq!(
            given, used,
            "DefinitionSubstitutions of {} in {FILE} (left) and the ${{...}} of {} (right) differ",
            machine.resource, machine.file
        );
    }
}

#[test]
fn a_machine_is_deployed_from_its_definition() {
    let template = template();
    for machine in machines() {
        let uri = &properties(&template, machine.resource)["DefinitionUri"];
        assert_eq!(
            uri,
            &format!("../{}", machine.file),
            "{} in {FILE}",
            machine.resource
        );
    }
}

#[test]
fn a_machine_may_call_its_own_functions_and_actions_and_nothing_else() {
    let template = template();
    for machine in machines() {
        let role = format!("{}Role", machine.resource);
        let policies = properties(&template, &role)["Policies"]
            .as_array()
            .expect("policies");
        let mut allowed = BTreeSet::new();
        let mut callable = BTreeSet::new();
        for statement in policies
            .iter()
            .flat_map(|policy| list(&policy["PolicyDocument"], "Statement"))
        {
            for action in one_or_many(&statement["Action"]) {
                // A role is handed on with the call that hands it on.
                if action == "iam:PassRole" {
                    continue;
                }
                if action == "lambda:InvokeFunction" {
                    let resources = one_or_many(&statement["Resource"]);
                    callable.extend(resources.iter().map(|arn| arn["Fn::GetAtt"][0].to_string()));
                } else {
                    allowed.insert(action.as_str().unwrap_or_default().to_lowercase());
                }
            }
        }
        let called: BTreeSet<_> = machine
            .function_tasks()
            .iter()
            .map(|(function, _)| json!(format!("{}Function", pascal_case(function))).to_string())
            .collect();
        assert_eq!(
            callable, called,
            "the functions that {role} in {FILE} may call (left) and those that {} calls (right) differ",
            machine.file
        );
        let used: BTreeSet<_> = machine
            .states()
            .iter()
            .filter_map(|state| {
                state.fields["Resource"]
                    .as_str()?
                    .strip_prefix("arn:aws:states:::aws-sdk:")
            })
            // Every machine tells its outcome; that right stands in a policy of its own.
            .filter(|action| *action != "eventbridge:putEvents")
            // The service's name in IAM is not that of its SDK.
            .map(|action| {
                let action = action.replace("eventbridge:", "events:");
                let action = action.replace("cloudwatchlogs:", "logs:");
                action.replace("sfn:", "states:").to_lowercase()
            })
            .collect();
        assert_eq!(
            allowed, used,
            "the actions that {role} in {FILE} allows (left) and those that {} uses (right) differ",
            machine.file
        );
    }
}

fn one_or_many(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

#[test]
fn a_functions_role_carries_the_iam_json_beside_its_source_and_no_policy_else() {
    let template = template();
    for function in functions() {
        let name = pascal_case(&function);
        let role = properties(&template, &format!("{name}Function"))["Role"].clone();
        let own = json!({ "Fn::GetAtt": [format!("{name}Role"), "Arn"] });
        assert_eq!(role, own, "Role of {name}Function in {FILE}");
        let policies = properties(&template, &format!("{name}Role"))["Policies"].clone();
        let Some(statements) = repository::iam(&function) else {
            assert_eq!(policies, Value::Null, "Policies of {name}Role in {FILE}");
            continue;
        };
        let location = format!("../functions/{function}/iam.json");
        let included = json!({ "Name": "AWS::Include", "Parameters": { "Location": location } });
        let policy = json!({ "PolicyName": function, "PolicyDocument": { "Fn::Transform": included } });
        assert_eq!(policies, json!([policy]), "Policies of {name}Role in {FILE}");
        assert!(
            list(&statements, "Statement").count() > 0,
            "functions/{function}/iam.json holds no statement"
        );
    }
}

#[test]
fn a_function_gets_exactly_the_settings_that_it_reads() {
    let template = template();
    let wiring = repository::read(WIRING);
    for function in functions() {
        let path = format!("functions/{function}/src/main.rs");
        let main = repository::read(&path);
        let mut read = settings(&main);
        for part in wiring.split("pub ").skip(1) {
            let name = part
                .split(['(', '<'])
                .next()
                .and_then(|head| head.rsplit(' ').next());
            if name.is_some_and(|name| main.contains(&format!("tidegate_wiring::{name}("))) {
                read.extend(settings(part));
            }
        }
        assert!(!read.is_empty(), "{path}: this test finds no settings in it");
        let resource = format!("{}Function", pascal_case(&function));
        let variables = fields(&properties(&template, &resource)["Environment"], "Variables");
        let given: BTreeSet<_> = variables.keys().cloned().collect();
        assert_eq!(
            given, read,
            "the variables of {resource} in {FILE} (left) and the settings that {path} and {WIRING} read (right) \
             differ"
        );
    }
}

/// The names in `settings.text("X")`, `number("X")`, `number::<u32>("X")` and `list("X")`.
fn settings(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for method in [".text", ".number", ".list", ".switch", ".optional"] {
        for rest in source.split(method).skip(1) {
            let literal = rest
                .split_once('(')
                .and_then(|(_, arguments)| arguments.strip_prefix('"'));
            if let Some((name, _)) = literal.and_then(|literal| literal.split_once('"')) {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn what_every_function_reads_is_given_to_all_of_them() {
    let template = template();
    let variables = fields(&template["Globals"]["Function"]["Environment"], "Variables");
    let runtime = repository::read("functions/shared/lambda/src/runtime.rs");
    let given: Vec<_> = variables.keys().map(String::as_str).collect();
    assert_eq!(given, ["METRICS_NAMESPACE", "RUST_LOG"], "Globals in {FILE}");
    assert!(
        runtime.contains("\"METRICS_NAMESPACE\""),
        "functions/shared/lambda reads no METRICS_NAMESPACE"
    );
    assert!(
        runtime.contains("\"RUST_LOG\""),
        "functions/shared/lambda reads no RUST_LOG"
    );
}

#[test]
fn the_drift_check_knows_every_rule_of_the_stack_by_its_name() {
    let template = template();
    let variables = &properties(&template, "CheckDriftFunction")["Environment"]["Variables"];
    // A rule that a parameter disables is named under the same condition.
    let named = variables["RULE_NAMES"]["Fn::Join"][1]
        .as_array()
        .into_iter()
        .flatten();
    let known: BTreeSet<_> = named
        .map(|name| {
            if name["Fn::If"].is_array() {
                &name["Fn::If"][1]
            } else {
                name
            }
        })
        .filter_map(|name| name["Fn::Sub"].as_str())
        .collect();
    let resources = template["Resources"].as_object().into_iter().flatten();
    let rules: BTreeSet<_> = resources
        .filter(|(_, resource)| resource["Type"] == "AWS::Events::Rule")
        .map(|(name, resource)| {
            let text = resource["Properties"]["Name"]["Fn::Sub"].as_str();
            text.unwrap_or_else(|| panic!("{FILE}: {name} has no Name of the stack's"))
        })
        .collect();
    assert_eq!(
        known, rules,
        "RULE_NAMES of CheckDriftFunction (left) and the rules in {FILE} (right) differ"
    );
}

#[test]
fn every_function_in_the_network_is_taken_out_of_it_before_the_network_goes() {
    let template = template();
    let given = &properties(&template, "ClusterDestroy")["DefinitionSubstitutions"]["NetworkedFunctions"];
    let named: BTreeSet<_> = given["Fn::If"][1]["Fn::Join"][1]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|function| function["Ref"].as_str().map(ToOwned::to_owned))
        .collect();
    let networked: BTreeSet<_> = functions()
        .iter()
        .map(|function| format!("{}Function", pascal_case(function)))
        .filter(|resource| !properties(&template, resource)["VpcConfig"].is_null())
        .collect();
    assert_eq!(
        named, networked,
        "NetworkedFunctions of ClusterDestroy (left) and the functions with a VpcConfig (right) in {FILE} differ"
    );
}

#[test]
fn only_cloudformation_takes_the_role_that_may_delete_and_it_is_handed_on_for_one_stack() {
    let template = template();
    let role = properties(&template, "ClusterDeletionRole");
    let trust = &role["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(
        trust[0]["Principal"],
        json!({ "Service": "cloudformation.amazonaws.com" })
    );
    assert_eq!(trust.as_array().map(Vec::len), Some(1));
    let statements = &properties(&template, "ClusterDestroyRole")["Policies"][0]["PolicyDocument"];
    let of = |action: &str| {
        list(statements, "Statement")
            .find(|statement| statement["Action"] == action)
            .unwrap_or_else(|| panic!("{FILE}: nothing allows {action}"))
    };
    assert_eq!(
        of("iam:PassRole")["Condition"],
        json!({ "StringEquals": { "iam:PassedToService": "cloudformation.amazonaws.com" } })
    );
    let delete = of("cloudformation:DeleteStack");
    let stack = delete["Resource"]["Fn::Sub"].as_str().unwrap_or_default();
    assert!(stack.ends_with(":stack/${ClusterStackName}/*"), "{stack}");
    assert!(delete["Condition"]["ArnEquals"]["cloudformation:RoleArn"].is_object());
}

#[test]
fn nothing_but_a_person_starts_a_destroy() {
    let template = template();
    let resources = template["Resources"].as_object().into_iter().flatten();
    for (name, resource) in resources {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let starts = matches!(
            kind,
            "AWS::Events::Rule" | "AWS::Scheduler::Schedule" | "AWS::IAM::Role"
        );
        let text = resource.to_string();
        assert!(
            !(starts && (text.contains("\"ClusterDestroy\"") || text.contains("cluster-destroy:"))),
            "{FILE}: {name} may start cluster-destroy"
        );
        assert!(
            resource["Properties"]["Events"].is_null(),
            "{FILE}: {name} has events of its own"
        );
    }
}

#[test]
fn every_name_is_the_stacks_own_so_that_two_clusters_of_an_account_do_not_collide() {
    let template = template();
    let mut named = 0;
    for (resource, definition) in fields(&template, "Resources") {
        // Of a permission it is the function that it is about.
        if definition["Type"] == "AWS::Lambda::Permission" {
            continue;
        }
        for key in PHYSICAL_NAMES {
            let name = &definition["Properties"][key];
            if !name.is_null() {
                named += 1;
                let name = name.to_string();
                assert!(name.contains("AWS::StackName"), "{resource}.{key} is {name}");
            }
        }
    }
    assert!(
        named > 30,
        "only {named} names: this test looks at the wrong properties"
    );
}

#[test]
fn a_function_has_little_memory_and_half_a_minute() {
    let template = template();
    let common = &template["Globals"]["Function"];
    for function in functions() {
        let resource = format!("{}Function", pascal_case(&function));
        let own = properties(&template, &resource);
        let of = |field: &str| {
            own.get(field)
                .or_else(|| common.get(field))
                .and_then(Value::as_u64)
        };
        let memory = of("MemorySize").unwrap_or_default();
        assert!(
            (128..=256).contains(&memory),
            "{resource} in {FILE} has {memory} MB"
        );
        assert_eq!(of("Timeout"), Some(TIMEOUT), "Timeout of {resource} in {FILE}");
    }
}
