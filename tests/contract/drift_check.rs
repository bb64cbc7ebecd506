//! The drift check's state machine, walked.

use check_drift::{CheckCall, Facts};
use serde_json::{Value, json};
use tidegate_domain::drift::{Kind, Report, Request, Row};
use tidegate_domain::error::ErrorName;
use tidegate_domain::outcome::{Answer, CheckOutcome};
use tidegate_lambda::Call as FunctionCall;

use crate::definition::drift_check;
use crate::ending::Ending;
use crate::faults::Failure;
use crate::scene::{answered, began, failed, substitutions};
use crate::walker::{Call, Reply, World};

/// What the function answers.
type Function = Box<dyn Fn(&CheckCall) -> Reply>;
/// Which error an action of AWS meets; none where it succeeds.
type Action = fn(&str, &Call) -> Option<&'static str>;

struct Check {
    function: Function,
    action: Action,
}

impl World for Check {
    fn answer(&mut self, call: &Call) -> Reply {
        let (_, action) = call.resource.rsplit_once(':').expect("a resource");
        if action == "invoke" {
            let payload = &call.arguments["Payload"];
            let call: CheckCall = FunctionCall::read(payload).expect("check-drift reads its call");
            return (self.function)(&call);
        }
        if let Some(error) = (self.action)(action, call) {
            let (error, cause) = (error.to_owned(), "told to fail".to_owned());
            return Reply {
                seconds: 1,
                result: Err(Failure { error, cause }),
            };
        }
        let result = match action {
            "listRules" => json!({"Rules": [{"Name": "tidegate-a", "State": "DISABLED", "Arn": "arn"}]}),
            "enableRule" => json!({}),
            "putEvents" => json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "1" }] }),
            other => panic!("what is {other}?"),
        };
        Reply {
            seconds: 1,
            result: Ok(result),
        }
    }
}

fn walk(input: &Value, function: impl Fn(&CheckCall) -> Reply + 'static, action: Action) -> Ending {
    let machine = drift_check();
    let substitutions = substitutions(&machine);
    let mut world = Check {
        function: Box::new(function),
        action,
    };
    Ending::of(&machine, &substitutions, input, &mut world)
}

fn well(_: &str, _: &Call) -> Option<&'static str> {
    None
}

fn says(outcome: CheckOutcome, rules_to_enable: &[&str]) -> impl Fn(&CheckCall) -> Reply + use<> {
    let rules_to_enable: Vec<_> = rules_to_enable.iter().map(ToString::to_string).collect();
    move |call| {
        let request = Request::read(&call.input).expect("understood");
        let found = usize::from(outcome == CheckOutcome::Drifted);
        let row = Row {
            kind: Kind::RuleDisabled.as_str(),
            subject: "tidegate-a".into(),
            seen: "rule tidegate-a is disabled".into(),
            since: began(),
            checks: 1,
            repair: "enable rule tidegate-a".into(),
            done: "enabled".into(),
        };
        let report = Report {
            plan: request.plan,
            found,
            new: vec![row; found],
            ..Report::default()
        };
        let facts = Facts {
            report,
            rules_to_enable: rules_to_enable.clone(),
            ..Facts::default()
        };
        answered(2, &Answer::new(outcome, "1 found (1 rule-disabled)", facts))
    }
}

fn refused(call: &CheckCall) -> Reply {
    let error = Request::read(&call.input).expect_err("not understood");
    failed(1, error.name.as_str(), &error.message)
}

/// A walk for each way through.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        walk(&json!({}), says(CheckOutcome::Consistent, &[]), well),
        walk(&json!({}), says(CheckOutcome::Unseen, &[]), well),
        enabling(),
        not_enabling(),
        blind_for_rules(),
        broken("AwsRefused"),
        walk(&json!({"repair": 1}), refused, well),
        of_another_release(),
        walk(&json!({}), says(CheckOutcome::Consistent, &[]), bus_fails),
    ]
}

fn bus_fails(action: &str, _: &Call) -> Option<&'static str> {
    (action == "putEvents").then_some("EventBridge.InternalException")
}

fn enabling() -> Ending {
    let function = says(CheckOutcome::Drifted, &["tidegate-a", "tidegate-b"]);
    walk(&json!({}), function, well)
}

fn not_enabling() -> Ending {
    let function = says(CheckOutcome::Drifted, &["tidegate-a", "tidegate-b"]);
    walk(&json!({}), function, |action, call| {
        let gone = action == "enableRule" && call.arguments["Name"] == "tidegate-a";
        gone.then_some("EventBridge.ResourceNotFoundException")
    })
}

fn blind_for_rules() -> Ending {
    let function = |call: &CheckCall| {
        assert!(call.rules.is_none());
        says(CheckOutcome::Unseen, &[])(call)
    };
    walk(&json!({}), function, |action, _| {
        (action == "listRules").then_some("EventBridge.EventBridgeException")
    })
}

fn broken(name: &'static str) -> Ending {
    walk(&json!({}), move |_| failed(1, name, "told to fail"), well)
}

fn of_another_release() -> Ending {
    let function = |call: &CheckCall| {
        let mut reply = says(CheckOutcome::Consistent, &[])(call);
        if let Ok(answer) = &mut reply.result {
            answer["Payload"]["outcome"] = json!("unheard-of");
        }
        reply
    };
    walk(&json!({}), function, well)
}

#[test]
fn a_check_ends_with_its_report_and_tells_it() {
    for outcome in [
        CheckOutcome::Consistent,
        CheckOutcome::Drifted,
        CheckOutcome::Unseen,
    ] {
        let ending = walk(&json!({"plan": true}), says(outcome, &[]), well);
        ending.assert_outcome(outcome.as_str(), "1 found");
        let output = ending.result.as_ref().expect("succeeded");
        assert_eq!(output["plan"], true);
        assert!(output["memory"].is_object(), "{output}");
        assert_eq!(ending.told()["seen"]["found"], output["found"]);
    }
}

#[test]
fn the_function_gets_the_input_and_the_rules() {
    let ending = walk(&json!({"plan": true}), says(CheckOutcome::Consistent, &[]), well);
    let asked = ending.asked("check-drift")[0];
    assert_eq!(asked["input"], json!({"plan": true}));
    assert_eq!(
        asked["rules"],
        json!([{"Name": "tidegate-a", "State": "DISABLED"}])
    );
}

#[test]
fn each_rule_that_the_function_chose_is_enabled_once() {
    let ending = enabling();
    let names: Vec<_> = ending
        .calls("enableRule")
        .iter()
        .map(|call| call["Name"].clone())
        .collect();
    assert_eq!(names, ["tidegate-a", "tidegate-b"]);
    assert_eq!(ending.told()["seen"]["new"][0]["kind"], "rule-disabled");
}

#[test]
fn a_rule_that_cannot_be_enabled_is_told_and_does_not_keep_the_others_back() {
    let ending = not_enabling();
    assert_eq!(ending.calls("enableRule").len(), 2);
    let told = ending.told();
    assert_eq!(told["seen"]["notEnabled"], json!(["tidegate-a: told to fail"]));
    assert_eq!(
        ending.result.expect("succeeded")["notEnabled"],
        told["seen"]["notEnabled"]
    );
}

#[test]
fn where_the_rules_cannot_be_listed_everything_else_is_checked() {
    blind_for_rules().assert_outcome("unseen", "1 found");
}

#[test]
fn a_check_that_cannot_be_made_fails_and_says_why() {
    for name in ErrorName::ALL.map(ErrorName::as_str) {
        if name == "InvalidInput" {
            continue;
        }
        let ending = broken(name);
        let told = ending.told();
        assert_eq!(told["outcome"], "failed", "{name}: {told}");
        let failure = ending.result.expect_err("failed");
        assert_eq!(failure.error, "failed");
        assert!(failure.cause.starts_with(name), "{failure:?}");
        assert!(ending.seconds < 300, "before the next one comes");
    }
}

#[test]
fn bad_input_is_refused_in_one_sentence() {
    let ending = walk(&json!({"plan": "yes"}), refused, well);
    let failure = ending.result.expect_err("refused");
    assert_eq!(failure.error, "InvalidInput");
    assert_eq!(failure.cause, "plan: \"yes\" is not true or false");
}

#[test]
fn a_bus_that_is_away_does_not_lose_what_is_known() {
    let ending = walk(&json!({}), says(CheckOutcome::Drifted, &[]), bus_fails);
    assert_eq!(ending.result.expect("succeeded")["outcome"], "drifted");
}
