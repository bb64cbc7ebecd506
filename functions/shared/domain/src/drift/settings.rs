//! Settings that somebody may change: hooks and retention of the groups, event rules, manifests; and what failed.

use super::finding::{About, Finding, Repair};
use super::judge::Scope;
use super::kind::Kind;
use super::manifests::{Manifests, difference};
use super::snapshot::{FailedExecution, Group, Rules};
use crate::ports::GroupHook;
use crate::resolve::Direction;

/// What a hook is put with: see samples/lifecycle-hooks. An event that is lost is made good by a check, so the hook waits
/// for several of those: docs/drift.md.
const HEARTBEAT_SECONDS: u32 = 1_800;
/// Below that a function that is slow once lets the hook run out.
const SHORTEST_HEARTBEAT_SECONDS: u32 = 60;
/// Auto Scaling's own: 100 heartbeats, 48 hours at most.
const LONGEST_HOOK_SECONDS: u32 = 172_800;

fn setting(kind: Kind, subject: String, seen: String, repair: Repair) -> Finding {
    Finding {
        kind,
        subject,
        seen,
        since: None,
        about: About::Setting,
        repair,
    }
}

/// Everything about groups that is not as their instances need it: hooks, and that they retain.
#[must_use]
pub fn of_groups(groups: &[Group], scope: &Scope) -> Vec<Finding> {
    // A terminate hook abandons by default: without the policy, a broken deployment would end instances at once.
    let mut findings = retention(groups);
    findings.extend(hooks(groups, &scope.join_hook, &scope.drain_hook));
    findings
}

pub(super) fn hooks(groups: &[Group], join_hook: &str, drain_hook: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in groups {
        if !group.exists {
            let seen = format!("group {} does not exist", group.name);
            let repair =
                Repair::Nothing("take it off the parameter AutoScalingGroupNames, or make it".into());
            findings.push(setting(Kind::HookDrifted, group.name.clone(), seen, repair));
            continue;
        }
        for (direction, name) in [(Direction::Join, join_hook), (Direction::Drain, drain_hook)] {
            if let Some((seen, hook)) = hook(group, direction, name) {
                let repair = Repair::PutHook {
                    group: group.name.clone(),
                    hook,
                };
                let subject = format!("{}/{name}", group.name);
                findings.push(setting(Kind::HookDrifted, subject, seen, repair));
            }
        }
    }
    findings
}

/// What is wrong with a hook, and how it must be. A longer heartbeat than ours is somebody's choice, and so is what
/// becomes of a launch that nobody completes.
fn hook(group: &Group, direction: Direction, name: &str) -> Option<(String, GroupHook)> {
    let fresh = |default_result: &str, heartbeat_seconds: u32| GroupHook {
        name: name.to_owned(),
        transition: direction.transition().to_owned(),
        heartbeat_seconds,
        global_seconds: heartbeat_seconds.saturating_mul(100).min(LONGEST_HOOK_SECONDS),
        default_result: default_result.to_owned(),
    };
    let default = match direction {
        Direction::Join => "CONTINUE",
        Direction::Drain => "ABANDON",
    };
    let Some(found) = group.hooks.iter().find(|hook| hook.name == name) else {
        let seen = format!("group {} has no hook {name}", group.name);
        return Some((seen, fresh(default, HEARTBEAT_SECONDS)));
    };
    let mut wrong = Vec::new();
    if found.transition != direction.transition() {
        wrong.push(format!("is about {}", found.transition));
    }
    if found.heartbeat_seconds < SHORTEST_HEARTBEAT_SECONDS {
        wrong.push(format!("runs out after {} s", found.heartbeat_seconds));
    }
    let endangers = direction == Direction::Drain && found.default_result != default;
    if endangers {
        wrong.push(format!(
            "lets the instance end when nobody completes it ({})",
            found.default_result
        ));
    }
    if wrong.is_empty() {
        return None;
    }
    let seen = format!("hook {name} of group {} {}", group.name, wrong.join(", "));
    let result = if endangers { default } else { &found.default_result };
    let heartbeat = if found.heartbeat_seconds < SHORTEST_HEARTBEAT_SECONDS {
        HEARTBEAT_SECONDS
    } else {
        found.heartbeat_seconds
    };
    Some((seen, fresh(result, heartbeat)))
}

pub(super) fn retention(groups: &[Group]) -> Vec<Finding> {
    groups
        .iter()
        .filter(|group| group.exists && !group.retains)
        .map(|group| {
            let seen = format!(
                "group {} ends an instance whose drain is abandoned, and what only it holds",
                group.name
            );
            setting(
                Kind::RetentionDrifted,
                group.name.clone(),
                seen,
                Repair::Retain(group.name.clone()),
            )
        })
        .collect()
}

pub(super) fn rules(rules: &Rules) -> Vec<Finding> {
    let judged = |name: &String| match rules.found.iter().find(|rule| rule.name == *name) {
        Some(rule) if rule.enabled => None,
        Some(_) => Some(setting(
            Kind::RuleDisabled,
            name.clone(),
            format!("rule {name} is disabled: what it delivers reaches nobody"),
            Repair::EnableRule(name.clone()),
        )),
        None => Some(setting(
            Kind::RuleDisabled,
            name.clone(),
            format!("rule {name} does not exist: what it delivers reaches nobody"),
            Repair::Nothing("deploy the stack again".into()),
        )),
    };
    rules.expected.iter().filter_map(judged).collect()
}

pub(super) fn manifests(manifests: &Manifests) -> Vec<Finding> {
    const BY_HAND: &str = "apply the manifests again (make manifests | kubectl apply -f -)";
    let Some(objects) = &manifests.objects else {
        let seen = format!("{} is not there: nobody knows what was applied", manifests.record);
        return vec![setting(
            Kind::ManifestDrifted,
            manifests.record.clone(),
            seen,
            Repair::Nothing(BY_HAND.into()),
        )];
    };
    objects
        .iter()
        .filter_map(|manifest| {
            let seen = match &manifest.live {
                None => format!("{} is gone", manifest.name),
                Some(live) => format!(
                    "{} was changed: {}",
                    manifest.name,
                    difference(&manifest.desired, live)?
                ),
            };
            let repair = if manifest.ours_to_apply() {
                Repair::Apply(Box::new(manifest.desired.clone()))
            } else {
                Repair::Nothing(BY_HAND.into())
            };
            Some(setting(
                Kind::ManifestDrifted,
                manifest.name.clone(),
                seen,
                repair,
            ))
        })
        .collect()
}

pub(super) fn failed(failed: &[FailedExecution]) -> Vec<Finding> {
    failed
        .iter()
        .map(|execution| {
            let why = execution
                .why
                .as_deref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            let mut finding = setting(
                Kind::ExecutionFailed,
                execution.arn.clone(),
                format!("{} at {}{why}", execution.status, execution.ended_at),
                Repair::Nothing("what it left undone is found under its own kind".into()),
            );
            finding.since = Some(execution.ended_at);
            finding
        })
        .collect()
}
