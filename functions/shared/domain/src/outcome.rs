//! What a function answers a state machine: a named outcome, a reason for a person, and the facts behind it.
//!
//! The names are a contract with the state machines; a test compares both sides.

use serde::Serialize;

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every outcome, as the state machines spell it.
            pub const ALL: &[&str] = &[$($text),+];

            /// The outcome, as the state machines spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

outcomes! {
    /// Outcomes of `resolve-node`.
    ResolveOutcome {
        /// The node is known, and it is ours to join or to drain.
        Resolved = "resolved",
        /// Nothing of ours to do. A hook of ours that waits all the same is completed at once.
        Ignored = "ignored",
        /// The instance is on its way out: its drain decides.
        Superseded = "superseded",
        /// It is about several instances: an execution for each is to be started.
        Several = "several",
        /// What the drain is for would fail in the end, so it is not begun.
        Refused = "refused",
    }
}

outcomes! {
    /// Outcomes of `label-node`.
    LabelOutcome {
        /// The node carries what is known of it.
        Labelled = "labelled",
        /// The instance is not a node yet.
        Waiting = "waiting",
        /// It did not become a node in time.
        Expired = "expired",
        /// The node is being drained, or another execution joins it.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `provision-volumes`.
    VolumesOutcome {
        /// Each disk is a volume.
        Provisioned = "provisioned",
        /// Some disk is not a volume yet.
        Waiting = "waiting",
        /// A disk of this node is missing or wrong.
        Unfit = "unfit",
        /// The volumes did not appear in time, and nothing says that the node is to blame.
        Expired = "expired",
        /// The node is being drained, or another execution joins it.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `schedule-worker`.
    WorkerOutcome {
        /// The worker is registered with all its capacity, the node is open.
        Ready = "ready",
        /// The worker is not there yet.
        Waiting = "waiting",
        /// The worker says that this node's storage is wrong.
        Unfit = "unfit",
        /// The worker did not register in time, and nothing says that the node is to blame.
        Expired = "expired",
        /// The node is being drained, or another execution joins it.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `take-turn`.
    TurnOutcome {
        /// The instance is to be drained now, by an execution of its own.
        Come = "turn",
        /// Its group cannot spare it yet.
        Waiting = "waiting",
        /// Another execution waits in this one's place.
        HandedOver = "handed-over",
    }
}

outcomes! {
    /// Outcomes of `judge-launch`.
    LaunchOutcome {
        /// The launch is abandoned: its group launches another instance.
        Abandon = "abandon",
        /// Too many before it failed alike: the instance is kept.
        Keep = "keep",
    }
}

outcomes! {
    /// Outcomes of `cordon-node`.
    CordonOutcome {
        /// The node is cordoned, and this execution's to drain.
        Cordoned = "cordoned",
        /// The instance is no node.
        Absent = "absent",
        /// Another execution drains the node, and does all that this one would.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `evict-pods`.
    EvictOutcome {
        /// No pod is left that would have to go.
        Evicted = "evicted",
        /// Pods are going, or a disruption budget holds them.
        Waiting = "waiting",
        /// The instance is no node.
        Absent = "absent",
        /// Another execution has taken the node over, and does the rest.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `drain-cache`.
    DrainOutcome {
        /// Nothing on the worker is the only copy, and it is out of service.
        Drained = "drained",
        /// Not yet.
        Waiting = "waiting",
        /// There is no worker to drain.
        Absent = "absent",
        /// Time is up, and the worker still holds what exists nowhere else.
        Incomplete = "incomplete",
        /// The worker is gone, and what existed only on it is gone with it.
        Lost = "lost",
        /// Another execution has taken the node over, and does the rest.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `retire-worker`.
    RetireOutcome {
        /// Worker, claims and volumes of the node are gone.
        Retired = "retired",
        /// Not yet.
        Waiting = "waiting",
        /// The worker is in service again: it must be drained again first.
        InService = "in-service",
        /// The instance is no node: nothing to take away.
        Absent = "absent",
        /// Another execution has taken the node over, and does the rest.
        Superseded = "superseded",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `check-drift`.
    CheckOutcome {
        /// Nothing differs.
        Consistent = "consistent",
        /// Something differs; the report says what, and what was done about it.
        Drifted = "drifted",
        /// Nothing differs in what could be seen, and not everything could.
        Unseen = "unseen",
    }
}

outcomes! {
    /// Outcomes of `choose-victims`.
    ChooseOutcome {
        /// By what the workers hold.
        Chosen = "chosen",
        /// The cache cannot be seen: the group's own proposal.
        Unseen = "unseen",
    }
}

outcomes! {
    /// Outcomes of `bootstrap-cluster`.
    BootstrapOutcome {
        /// Everything is applied and verified; instances in service may still have to join.
        Applied = "applied",
        /// A step waits for something.
        Waiting = "waiting",
        /// Everything is applied and verified, and every instance in service has joined.
        Ready = "ready",
        /// Time is up, or a step needs what is not there.
        Incomplete = "incomplete",
        /// What it would do, with nothing changed.
        Planned = "planned",
    }
}

outcomes! {
    /// Outcomes of `destroy-cluster`.
    DestroyOutcome {
        /// What it would do, and what would be lost, with nothing changed.
        Planned = "planned",
        /// The same before it is done.
        Foreseen = "foreseen",
        /// Something would be lost, and that is not accepted: nothing was changed.
        Refused = "refused",
        /// Not yet.
        Waiting = "waiting",
        /// Nothing of ours is left in the cluster and on the groups: the cluster's stack may go.
        Emptied = "emptied",
        /// Nothing is left.
        Destroyed = "destroyed",
        /// Something could not be saved, or stays.
        Incomplete = "incomplete",
    }
}

/// What a function answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<Outcome, Facts> {
    /// The outcome.
    pub outcome: Outcome,
    /// One sentence for a person on call.
    pub reason: String,
    /// With `waiting`: after how many seconds to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// What was seen.
    #[serde(flatten)]
    pub facts: Facts,
}

impl<Outcome, Facts> Answer<Outcome, Facts> {
    /// An answer that needs no further call.
    pub fn new(outcome: Outcome, reason: impl Into<String>, facts: Facts) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            retry_after_seconds: None,
            facts,
        }
    }

    /// An answer that asks to be called again.
    pub fn again(outcome: Outcome, reason: impl Into<String>, after_seconds: u32, facts: Facts) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            retry_after_seconds: Some(after_seconds),
            facts,
        }
    }
}
