//! Which instances an execution works on right now.

use std::collections::{HashMap, HashSet};

use super::snapshot::{Executions, RunningExecution, SeenNode};
use crate::names;
use crate::resolve::Direction;
use crate::subject::InstanceId;
use crate::turn::is_ticket;

/// Executions whose input is asked for in one check. `DescribeExecution` allows 10 to 15 calls a second in the long
/// run, and 250 to 300 at once: <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>.
pub const MOST_DESCRIBED: usize = 200;

/// The running executions of which nothing but their input tells what they are about, as many as may be asked for.
#[must_use]
pub fn unattributed(executions: &Executions, nodes: &[SeenNode]) -> Vec<String> {
    let claimed: HashSet<_> = nodes.iter().filter_map(claim).collect();
    executions
        .running
        .iter()
        .filter(|running| !attributed(running, &claimed))
        .take(MOST_DESCRIBED)
        .map(|running| running.arn.clone())
        .collect()
}

fn attributed(running: &RunningExecution, claimed: &HashSet<String>) -> bool {
    running.subjects.is_some() || named(&running.name).is_some() || claimed.contains(&running.arn)
}

/// The execution that a node says works on it.
fn claim(node: &SeenNode) -> Option<String> {
    let text = node.node.annotations.get(names::EXECUTION_ANNOTATION)?;
    let claim: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(claim["execution"].as_str()?.to_owned())
}

/// The instance id in an execution's name, such as `drift-drain-i-0123456789abcdef0-2`.
pub(crate) fn named(name: &str) -> Option<&str> {
    name.match_indices("i-").find_map(|(at, _)| {
        let digits = name[at + 2..]
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(name.len() - at - 2);
        let id = &name[at..at + 2 + digits];
        InstanceId::parse(id).is_ok().then_some(id)
    })
}

/// What works on the instances.
#[derive(Debug, Default)]
pub(super) struct Busy {
    joins: HashSet<String>,
    drains: HashSet<String>,
    /// Executions of which nobody knows what they are about.
    strangers: usize,
}

impl Busy {
    pub(super) fn of(executions: &Executions, nodes: &[SeenNode]) -> Self {
        let mut claims: HashMap<String, &SeenNode> = HashMap::new();
        let mut by_name: HashMap<&str, &SeenNode> = HashMap::new();
        for node in nodes {
            if let Some(arn) = claim(node) {
                claims.insert(arn, node);
            }
            by_name.insert(&node.node.name, node);
        }
        let mut busy = Self::default();
        for running in &executions.running {
            // It waits until its group can spare the instance, and works on nothing.
            if is_ticket(&running.name) {
                continue;
            }
            let mut known = false;
            let mut note = |instance: &str| {
                known = true;
                match running.direction {
                    Direction::Join => busy.joins.insert(instance.to_owned()),
                    Direction::Drain => busy.drains.insert(instance.to_owned()),
                };
            };
            if let Some(instance) = named(&running.name) {
                note(instance);
            }
            if let Some(instance) = claims.get(&running.arn).and_then(|node| node.instance()) {
                note(instance);
            }
            if let Some(subjects) = &running.subjects {
                subjects.instances.iter().for_each(|instance| note(instance));
                for node in subjects
                    .nodes
                    .iter()
                    .filter_map(|name| by_name.get(name.as_str()))
                {
                    node.instance().into_iter().for_each(&mut note);
                }
                // About nothing that is there: it does not stand in the way of judging what is.
                known = true;
            }
            if !known {
                busy.strangers += 1;
            }
        }
        busy
    }

    /// Whether a drain works on that instance; none where that cannot be told.
    pub(super) fn drains(&self, instance: &str) -> Option<bool> {
        self.known(self.drains.contains(instance))
    }

    /// Whether anything works on that instance; none where that cannot be told.
    pub(super) fn works(&self, instance: &str) -> Option<bool> {
        self.known(self.drains.contains(instance) || self.joins.contains(instance))
    }

    fn known(&self, found: bool) -> Option<bool> {
        if found {
            Some(true)
        } else {
            (self.strangers == 0).then_some(false)
        }
    }

    /// How many executions are about nobody knows what.
    pub(super) const fn strangers(&self) -> usize {
        self.strangers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Subjects;
    use crate::drift::fixtures::{INSTANCE, node};

    fn running(name: &str) -> RunningExecution {
        RunningExecution {
            arn: format!("arn:{name}"),
            name: name.to_owned(),
            direction: Direction::Drain,
            subjects: None,
        }
    }

    fn busy(running: RunningExecution, nodes: &[SeenNode]) -> Option<bool> {
        let executions = Executions {
            running: vec![running],
            ..Executions::default()
        };
        Busy::of(&executions, nodes).drains(INSTANCE)
    }

    #[test]
    fn an_execution_is_about_the_instance_in_its_name() {
        assert_eq!(
            busy(running(&format!("drift-drain-{INSTANCE}-12")), &[]),
            Some(true)
        );
        assert_eq!(
            busy(running("drift-drain-i-0fedcba9876543210-1"), &[]),
            Some(false)
        );
    }

    #[test]
    fn an_execution_that_waits_for_its_turn_works_on_nothing() {
        let name = format!("turn-1796040000-e-1-{INSTANCE}");
        assert_eq!(busy(running(&name), &[]), Some(false));
        let name = format!("leave-1796040000-e-1-{INSTANCE}");
        assert_eq!(busy(running(&name), &[]), Some(true));
    }

    #[test]
    fn an_execution_is_about_the_node_that_it_claimed() {
        let mut claimed = node();
        let claim = r#"{"execution": "arn:e-1", "direction": "drain"}"#;
        claimed
            .node
            .annotations
            .insert(names::EXECUTION_ANNOTATION.to_owned(), claim.to_owned());
        assert_eq!(busy(running("e-1"), &[claimed]), Some(true));
    }

    #[test]
    fn an_execution_is_about_what_its_input_names() {
        let told = |instances: &[&str], nodes: &[&str]| RunningExecution {
            subjects: Some(Subjects {
                instances: instances.iter().map(ToString::to_string).collect(),
                nodes: nodes.iter().map(ToString::to_string).collect(),
            }),
            ..running("e-1")
        };
        assert_eq!(busy(told(&[INSTANCE], &[]), &[]), Some(true));
        assert_eq!(busy(told(&[], &["ip-10-0-0-7"]), &[node()]), Some(true));
        assert_eq!(busy(told(&[], &["another"]), &[node()]), Some(false));
    }

    #[test]
    fn while_an_execution_is_about_nobody_knows_what_no_instance_is_held_for_forgotten() {
        assert_eq!(busy(running("e-1"), &[node()]), None);
    }

    #[test]
    fn only_executions_that_nothing_else_tells_of_are_asked_for_and_not_too_many() {
        let mut executions = Executions {
            running: vec![running(&format!("drift-drain-{INSTANCE}-1")), running("e-1")],
            ..Executions::default()
        };
        assert_eq!(unattributed(&executions, &[]), ["arn:e-1"]);
        executions.running = vec![running("e"); MOST_DESCRIBED + 5];
        assert_eq!(unattributed(&executions, &[]).len(), MOST_DESCRIBED);
    }
}
