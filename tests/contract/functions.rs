//! State machines, function packages and template know the same functions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::definition::{list, machines};
use crate::repository::{self, functions, pascal_case, root};
use crate::template::{properties, template};

const TEMPLATE: &str = "infra/template.yaml";
/// The functions that apply every other's rights in the cluster, and take them away: they cannot rest on any of these.
const BEYOND_RIGHTS: [&str; 2] = ["bootstrap-cluster", "destroy-cluster"];

#[test]
fn each_function_is_called_by_a_state_of_its_name_or_by_whom_the_template_permits() {
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
    let template = template();
    for package in packages {
        let permitted = permitted_callers(&template, &package);
        assert_eq!(
            called.contains(&package),
            permitted.is_empty(),
            "functions/{package} must be called either by a state of statemachine/*.asl.json or by those whom an \
             AWS::Lambda::Permission in {TEMPLATE} names: {permitted:?}"
        );
    }
}

/// Who else but a state machine may call a function. A state machine does so by its own role; a service that calls by
/// itself needs a permission on the function.
fn permitted_callers(template: &Value, function: &str) -> Vec<Value> {
    let own = json!({ "Fn::GetAtt": [format!("{}Function", pascal_case(function)), "Arn"] });
    let resources = template["Resources"].as_object().into_iter().flatten();
    resources
        .filter(|(_, resource)| resource["Type"] == "AWS::Lambda::Permission")
        .map(|(_, resource)| &resource["Properties"])
        .filter(|permission| permission["FunctionName"] == own)
        .map(|permission| permission["Principal"].clone())
        .collect()
}

#[test]
fn a_permission_is_for_a_function_of_ours_and_a_caller_of_this_account() {
    let template = template();
    let resources = template["Resources"].as_object().into_iter().flatten();
    for (name, resource) in resources.filter(|(_, resource)| resource["Type"] == "AWS::Lambda::Permission") {
        let permission = &resource["Properties"];
        assert_eq!(
            permission["Action"], "lambda:InvokeFunction",
            "{TEMPLATE}: {name}"
        );
        let known = functions().iter().any(|function| {
            permission["FunctionName"]["Fn::GetAtt"][0] == format!("{}Function", pascal_case(function))
        });
        assert!(known, "{TEMPLATE}: {name} is about no package of functions/");
        // A bare service would let every account's resources call.
        let role = permission["Principal"]["Fn::Sub"].as_str().unwrap_or_default();
        let account = json!({ "Ref": "AWS::AccountId" });
        assert!(
            role.contains("::${AWS::AccountId}:role/") || permission["SourceAccount"] == account,
            "{TEMPLATE}: {name} lets more than this account call"
        );
    }
}

#[test]
fn auto_scaling_may_ask_who_goes_and_its_groups_can_be_told_whom_to_ask() {
    let template = template();
    let callers = permitted_callers(&template, "choose-victims");
    let role = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/autoscaling.amazonaws.com/\
                AWSServiceRoleForAutoScaling";
    assert_eq!(callers, [json!({ "Fn::Sub": role })]);
    assert_eq!(
        template["Outputs"]["ChooseVictimsArn"]["Value"],
        json!({ "Fn::GetAtt": ["ChooseVictimsFunction", "Arn"] })
    );
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
fn every_function_that_talks_to_kubernetes_is_told_where_the_api_server_is() {
    let mut told = BTreeSet::new();
    for machine in machines() {
        for (function, state) in machine.function_tasks() {
            let payload = &state.fields["Arguments"]["Payload"];
            if payload["apiServer"] == "{% $apiServer %}" {
                told.insert(function);
            }
        }
    }
    for function in functions() {
        let main = repository::read(&format!("functions/{function}/src/main.rs"));
        assert_eq!(
            told.contains(&function),
            main.contains("tidegate_wiring::in_cluster("),
            "apiServer in the payload of functions/{function}"
        );
    }
}

#[test]
fn a_function_has_rights_in_the_cluster_exactly_where_it_talks_to_kubernetes() {
    let template = template();
    for function in functions() {
        let name = pascal_case(&function);
        let main = repository::read(&format!("functions/{function}/src/main.rs"));
        let (told, asks) = (
            main.contains("tidegate_wiring::in_cluster("),
            main.contains("tidegate_wiring::cluster(") || main.contains("tidegate_wiring::connect("),
        );
        // They have rights that EKS gives (the next test).
        if BEYOND_RIGHTS.contains(&function.as_str()) {
            continue;
        }
        let talks = told || asks;
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
        let may_ask =
            repository::iam(&function).is_some_and(|iam| iam.to_string().contains("eks:DescribeCluster"));
        assert_eq!(
            may_ask,
            asks || function == "resolve-node",
            "functions/{function}/iam.json: eks:DescribeCluster is for resolve-node, and for those that it does not tell"
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

#[test]
fn a_function_may_look_for_masters_in_the_cluster_exactly_where_it_talks_to_alluxio() {
    for function in functions() {
        let main = repository::read(&format!("functions/{function}/src/main.rs"));
        let rules = format!("functions/{function}/rbac.yaml");
        if !root().join(&rules).exists() {
            continue;
        }
        let objects = repository::yaml(&rules);
        let rights = objects.iter().filter(|object| object["kind"] == "Role");
        let mut found = rights.flat_map(|role| {
            let own = role["metadata"]["namespace"] == "alluxio";
            list(role, "rules").filter(move |rule| own && rule["resources"] == json!(["endpointslices"]))
        });
        let right = found.next();
        assert_eq!(
            right.is_some(),
            main.contains("tidegate_wiring::alluxio_master("),
            "{rules}: endpointslices of the workers' namespace are for those that talk to Alluxio"
        );
        if let Some(rule) = right {
            assert_eq!(rule["apiGroups"], json!(["discovery.k8s.io"]), "{rules}");
            assert_eq!(rule["verbs"], json!(["list"]), "{rules}");
        }
    }
}

#[test]
fn what_brings_the_rights_or_takes_them_away_has_those_of_eks_and_no_other_function_has() {
    let template = template();
    for function in functions() {
        let entry = &template["Resources"][format!("{}AccessEntry", pascal_case(&function))]["Properties"];
        let policies = &entry["AccessPolicies"];
        if !BEYOND_RIGHTS.contains(&function.as_str()) {
            assert!(policies.is_null(), "{TEMPLATE}: {function} has {policies}");
            continue;
        }
        let policy = "arn:${AWS::Partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";
        assert_eq!(policies[0]["PolicyArn"]["Fn::Sub"], policy);
        assert_eq!(policies.as_array().map(Vec::len), Some(1));
        assert!(entry["KubernetesGroups"].is_null(), "{TEMPLATE}: {entry}");
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
