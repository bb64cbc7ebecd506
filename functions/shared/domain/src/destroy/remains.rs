//! What of a cluster is still there that costs money.

use serde::{Deserialize, Serialize};

/// The cluster's stack as `CloudFormation` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackSeen {
    /// `StackStatus`; [`StackSeen::GONE`] where there is no such stack.
    pub status: String,
    /// `StackStatusReason`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether its role is the one that it is deleted with from here: then everything in the cluster was taken away
    /// before that.
    #[serde(default)]
    pub ours: bool,
}

impl StackSeen {
    /// There is no such stack.
    pub const GONE: &str = "GONE";

    /// Whether it is not there any more.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.status == Self::GONE
    }

    /// Whether its deletion has begun from here, and with that all that comes before it is done.
    #[must_use]
    pub fn going(&self) -> bool {
        self.ours && self.status.starts_with("DELETE_")
    }

    /// Whether somebody else is deleting it.
    #[must_use]
    pub fn taken(&self) -> bool {
        !self.ours && self.status == "DELETE_IN_PROGRESS"
    }
}

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remain {
    /// What a person calls it: `instance`, `volume`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// The word for its state.
    pub state: String,
}

impl Remain {
    /// Whether it goes by itself.
    #[must_use]
    pub fn going(&self) -> bool {
        matches!(
            self.state.as_str(),
            "shutting-down" | "deleting" | "DELETING" | "disassociating"
        )
    }
}

/// What is left, in words; and whether all of that goes by itself.
#[must_use]
pub fn left(remains: &[Remain]) -> (Vec<String>, bool) {
    let mut sorted: Vec<_> = remains.iter().collect();
    sorted.sort();
    let told = sorted
        .iter()
        .map(|remain| format!("{} {} is {}", remain.kind, remain.id, remain.state));
    (told.collect(), sorted.iter().all(|remain| remain.going()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remain(kind: &'static str, id: &str, state: &str) -> Remain {
        Remain {
            kind,
            id: id.to_owned(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn what_is_left_is_named_with_its_id() {
        let (told, going) = left(&[
            remain("volume", "vol-1", "available"),
            remain("instance", "i-1", "shutting-down"),
        ]);
        assert_eq!(
            told,
            ["instance i-1 is shutting-down", "volume vol-1 is available"]
        );
        assert!(!going);
    }

    #[test]
    fn what_ends_by_itself_is_only_waited_for() {
        let (_, going) = left(&[
            remain("instance", "i-1", "shutting-down"),
            remain("NAT gateway", "nat-1", "deleting"),
            remain("cluster", "prod", "DELETING"),
        ]);
        assert!(going);
        assert_eq!(left(&[]), (Vec::new(), true));
    }

    #[test]
    fn a_stack_whose_deletion_did_not_begin_here_says_nothing_of_what_is_in_the_cluster() {
        let seen = |status: &str, ours| StackSeen {
            status: status.to_owned(),
            reason: None,
            ours,
        };
        assert!(seen("DELETE_IN_PROGRESS", true).going() && seen("DELETE_FAILED", true).going());
        assert!(!seen("DELETE_FAILED", false).going() && !seen("CREATE_COMPLETE", true).going());
        assert!(seen("DELETE_IN_PROGRESS", false).taken() && !seen("DELETE_IN_PROGRESS", true).taken());
        assert!(seen(StackSeen::GONE, false).gone());
    }
}
