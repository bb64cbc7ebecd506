//! The executions that set something right: what they are told, and what must still be so when they begin.

use serde_json::{Value, json};

use crate::resolve::Direction;

/// An execution of node-join or node-drain for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which of the two.
    pub direction: Direction,
    /// The instance.
    pub instance: String,
    /// Whether the drained instance stays, as a person asked.
    pub keeps_instance: bool,
    /// The hook that must still wait for the instance; none where the execution has something to do without one.
    pub only_while: Option<WaitingHook>,
}

/// A hook of ours that may wait for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingHook {
    /// The group.
    pub group: String,
    /// The name of the hook.
    pub name: String,
}

impl Start {
    /// An execution that nothing but its instance has to be told.
    #[must_use]
    pub fn of(direction: Direction, instance: &str) -> Self {
        Self {
            direction,
            instance: instance.to_owned(),
            keeps_instance: false,
            only_while: None,
        }
    }

    /// The input of the execution. A drain that ends the instance has its group replace it: no repair changes how many
    /// instances somebody wants.
    #[must_use]
    pub fn input(&self) -> Value {
        match self.direction {
            Direction::Join => json!({ "instanceId": self.instance }),
            Direction::Drain if self.keeps_instance => {
                json!({ "instanceId": self.instance, "terminate": false })
            }
            Direction::Drain => json!({ "instanceId": self.instance, "replace": true }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_ends_an_instance_replaces_it() {
        let start = Start::of(Direction::Drain, "i-1");
        assert_eq!(start.input(), json!({"instanceId": "i-1", "replace": true}));
    }

    #[test]
    fn a_drain_that_keeps_an_instance_says_so() {
        let start = Start {
            keeps_instance: true,
            ..Start::of(Direction::Drain, "i-1")
        };
        assert_eq!(start.input(), json!({"instanceId": "i-1", "terminate": false}));
    }

    #[test]
    fn a_join_is_told_its_instance_only() {
        let start = Start::of(Direction::Join, "i-1");
        assert_eq!(start.input(), json!({"instanceId": "i-1"}));
    }
}
