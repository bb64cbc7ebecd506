//! State machines, function packages and template know the same functions.

use std::collections::BTreeSet;

use crate::definition::{list, machines};
use crate::repository::{self, functions, pascal_case, root};
use crate::template::{properties, template};

const TEMPLATE: &str = "infra/template.yaml";

#[test]
fn each_function_is_called_by_a_state_of_its_name() {
    let packages = functions();
    let mut called = BTreeSet::new();
    for machine in machines() {
        for (function, state) in machine.function_tasks() {
            let file = machine.file;
            assert!(
                packages.contains(&function),
                "{file}: state {} calls {function}, and there is no functions/{function}",
                state.name
            );
            assert_eq!(
                state.name,
                pascal_case(&function),
                "{file}: the state that calls {function} must have its name"
            );
            assert_eq!(
                state.fields["Resource"], "arn:aws:states:::lambda:invoke",
                "{file}: Resource of {}",
                state.name
            );
            called.insert(function);
        }
    }
    for package in packages {
        assert!(
            called.contains(&package),
            "no state of statemachine/*.asl.json calls functions/{package}"
        );
    }
}

#[test]
fn a_task_calls_a_function_by_its_own_arn() {
    let template = template();
    for machine in machines() {
        let given = &properties(&template, machine.resource)["DefinitionSubstitutions"];
        for (function, state) in machine.function_tasks() {
            let name = pascal_case(&function);
            assert_eq!(
                given[format!("{name}FunctionArn")],
                serde_json::json!({ "Fn::GetAtt": [format!("{name}Function"), "Arn"] }),
                "{TEMPLATE}: the substitution of {} for state {}",
                machine.resource,
                state.name
            );
        }
    }
}

#[test]
fn each_function_is_deployed_from_what_cargo_lambda_built_of_it() {
    let template = template();
    for function in functions() {
        let resource = format!("{}Function", pascal_case(&function));
        let uri = &properties(&template, &resource)["CodeUri"];
        assert_eq!(
            uri,
            &format!("../target/lambda/{function}/"),
            "{TEMPLATE}: CodeUri of {resource}"
        );
    }
    let deployed = template["Resources"].as_object().into_iter().flatten();
    for (name, resource) in deployed.filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function") {
        let known = functions()
            .iter()
            .any(|function| format!("{}Function", pascal_case(function)) == *name);
        assert!(
            known,
            "{TEMPLATE}: {name} is no package of functions/: {resource}"
        );
    }
}

#[test]
fn a_function_has_rights_in_the_cluster_exactly_where_it_talks_to_kubernetes() {
    let template = template();
    for function in functions() {
        let name = pascal_case(&function);
        let talks = repository::read(&format!("functions/{function}/src/main.rs"))
            .contains("tidegate_wiring::cluster(");
        let rules = format!("functions/{function}/rbac.yaml");
        assert_eq!(
            root().join(&rules).exists(),
            talks,
            "functions/{function}/src/main.rs connects to the cluster: {talks}; {rules} must be there only then"
        );
        let entry = &template["Resources"][format!("{name}AccessEntry")]["Properties"];
        assert_eq!(
            !entry.is_null(),
            talks,
            "{TEMPLATE}: {name}AccessEntry must be there only where {function} connects to the cluster"
        );
        let iam = repository::read(&format!("functions/{function}/iam.json"));
        assert_eq!(
            iam.contains("eks:DescribeCluster"),
            talks,
            "functions/{function}/iam.json: eks:DescribeCluster is for those that connect to the cluster"
        );
        if talks {
            let group = format!("tidegate:{function}");
            let own_role = serde_json::json!({ "Fn::GetAtt": [format!("{name}Role"), "Arn"] });
            assert_eq!(
                entry["KubernetesGroups"],
                serde_json::json!([group]),
                "{TEMPLATE}: {name}AccessEntry"
            );
            assert_eq!(entry["PrincipalArn"], own_role, "{TEMPLATE}: {name}AccessEntry");
            bound_only_to(&rules, &group);
        }
    }
}

fn bound_only_to(rules: &str, group: &str) {
    let mut bindings = 0;
    for object in repository::yaml(rules) {
        for subject in list(&object, "subjects") {
            bindings += 1;
            assert_eq!(subject["kind"], "Group", "{rules}: {subject}");
            assert_eq!(
                subject["name"], group,
                "{rules}: the access entry in {TEMPLATE} names another group"
            );
        }
    }
    assert!(bindings > 0, "{rules} binds nothing to {group}");
}
