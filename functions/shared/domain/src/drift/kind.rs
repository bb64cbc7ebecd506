use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// A kind of drift. Its name is stable: reports, alarms and `{"repair": [...]}` go by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant),+
        }

        impl Kind {
            /// Every kind, the most urgent first.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

kinds! {
    /// An instance waits in `Terminating:Wait`, and nothing drains it.
    DrainStalled = "drain-stalled",
    /// An instance was retained because its drain failed, and nothing goes on with it.
    InstanceRetained = "instance-retained",
    /// A worker is in service again although its node drains.
    WorkerRevived = "worker-revived",
    /// A node is being drained, and takes pods.
    DrainUncordoned = "drain-uncordoned",
    /// A node is cordoned for a drain that does not go on.
    CordonOrphaned = "cordon-orphaned",
    /// A node was drained to the end, and its instance is still in service.
    DrainedInService = "drained-in-service",
    /// An instance waits in `Pending:Wait`, and nothing lets it join.
    JoinStalled = "join-stalled",
    /// A node says that it has disks that its instance type has not.
    DisksMislabelled = "disks-mislabelled",
    /// A node in service lacks labels, volumes or its worker, or keeps the startup taint.
    NodeIncomplete = "node-incomplete",
    /// A worker with too little capacity, or with storage that it lost.
    WorkerShort = "worker-short",
    /// A worker runs, and the Alluxio master does not count it as in service.
    WorkerUnseen = "worker-unseen",
    /// A worker that is lost or disabled, and its node is gone.
    WorkerForgotten = "worker-forgotten",
    /// A volume of a node that is gone.
    VolumeOrphaned = "volume-orphaned",
    /// A volume that was released, on a node that is there.
    VolumeReleased = "volume-released",
    /// A claim without its pod.
    ClaimOrphaned = "claim-orphaned",
    /// A lifecycle hook of ours is missing, or not as it must be.
    HookDrifted = "hook-drifted",
    /// A group does not keep instances whose drain failed.
    RetentionDrifted = "retention-drifted",
    /// A rule that starts us is disabled or gone.
    RuleDisabled = "rule-disabled",
    /// An object of the cluster's manifests is changed or gone.
    ManifestDrifted = "manifest-drifted",
    /// An execution of ours failed since the last check.
    ExecutionFailed = "execution-failed",
}

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether it is about instances that wait already, and serve nothing: to see to one takes no capacity from its group,
    /// and a hook runs out meanwhile.
    #[must_use]
    pub const fn waits_already(self) -> bool {
        matches!(
            self,
            Self::DrainStalled | Self::InstanceRetained | Self::JoinStalled
        )
    }

    /// Whether it happened once: it is told in one check and not carried to the next.
    #[must_use]
    pub const fn is_event(self) -> bool {
        matches!(self, Self::ExecutionFailed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_name_and_by_nothing_else() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("join-stall"), None);
        assert_eq!(Kind::ALL.len(), 20);
    }
}
