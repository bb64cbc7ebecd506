//! What becomes of one file when every cache goes: there is no elsewhere, so it is in the under store or lost.

use jiff::{SignedDuration, Timestamp};

use crate::cache::{Broken, FileState, Holder, Stores, broken};

/// The clock of the master that tells when a file was completed may be wrong by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the under store, or holds nothing, or is gone.
    Safe,
    /// It can be written to the under store.
    Persist,
    /// Not yet: it may become one that can be written.
    NotYet(&'static str),
    /// It can never be written there.
    Never(&'static str),
    /// A part of it was lost before: it is named, and nothing waits for it.
    Broken(Broken),
}

/// Whether a block that is on no worker in service is on no other worker either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every worker that has a pod is in service.
    Yes,
    /// A worker is out of service, or may come back with what it holds.
    No,
    /// All workers are out of service now. It was so when the look at that time began, and the files that were complete
    /// then have been looked at.
    Before {
        /// When that look began.
        look: Timestamp,
        /// That look has named this very file as broken.
        named: bool,
    },
}

impl Settled {
    /// The same for a file that the look before has, or has not, named as broken.
    #[must_use]
    pub fn naming(self, named: bool) -> Self {
        match self {
            Self::Before { look, .. } => Self::Before { look, named },
            other => other,
        }
    }

    fn of(self, file: &FileState) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            // One that is open may have begun before that look, and show its first block only now.
            Self::Before { look, named } => {
                (file.completed || named) && file.modified_at + CLOCKS_DIFFER < look
            }
        }
    }
}

/// What becomes of a file that a worker holds.
#[must_use]
pub fn fate(file: Option<&FileState>, holder: Holder<'_>, settled: Settled, stores: &Stores) -> Fate {
    let Some(file) = file.filter(|file| !file.holds_nothing()) else {
        return Fate::Safe;
    };
    if let Some(broken) = broken(file, |block| holder.has(block)) {
        if settled.of(file) {
            return Fate::Broken(broken);
        }
        return Fate::NotYet("a part of it is on no worker in service, and may come back with one");
    }
    if let Some(why) = stores.refusal(&file.path) {
        return Fate::Never(why);
    }
    if !file.completed {
        return Fate::NotYet("still being written");
    }
    // The master has each block read from a worker in service only; one that is out of it registers again by itself.
    if !file.readable() {
        return Fate::NotYet("not in the under store, and on no worker in service");
    }
    Fate::Persist
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Block, HeldBlock};

    fn on(hosts: &[&str]) -> Block {
        Block {
            id: 1,
            bytes: 10,
            hosts: hosts.iter().map(ToString::to_string).collect(),
            known: true,
        }
    }

    fn file(path: &str) -> FileState {
        FileState {
            path: path.to_owned(),
            length: 10,
            completed: true,
            persisted: false,
            persisting: false,
            folder: false,
            blocks: vec![on(&["10.0.1.7"])],
            ..FileState::default()
        }
    }

    const HERE: &str = "10.0.1.7";

    fn stores() -> Stores {
        Stores {
            blacklist: vec!["_temporary".to_owned(), String::new()],
            mounts: [("/".to_owned(), false), ("/archive".to_owned(), true)].into(),
            ..Stores::default()
        }
    }

    /// On a worker in service.
    fn of(file: &FileState) -> Fate {
        let holder = Holder {
            host: HERE,
            in_service: true,
            listed: None,
        };
        fate(Some(file), holder, Settled::Yes, &stores())
    }

    /// On a worker out of service that lists these blocks.
    fn afterwards(file: &FileState, ids: &[i64], settled: Settled) -> Fate {
        let listed: Vec<_> = ids.iter().map(|id| HeldBlock { id: *id, bytes: 10 }).collect();
        let holder = Holder {
            host: HERE,
            in_service: false,
            listed: Some(&listed),
        };
        fate(Some(file), holder, settled, &stores())
    }

    #[test]
    fn what_is_persisted_deleted_or_empty_is_safe() {
        let persisted = FileState {
            persisted: true,
            ..file("/_temporary/a")
        };
        let empty = FileState {
            length: 0,
            blocks: Vec::new(),
            ..file("/_SUCCESS")
        };
        assert_eq!(of(&persisted), Fate::Safe);
        assert_eq!(of(&empty), Fate::Safe);
        let holder = Holder {
            host: HERE,
            in_service: true,
            listed: None,
        };
        assert_eq!(fate(None, holder, Settled::Yes, &Stores::default()), Fate::Safe);
    }

    #[test]
    fn a_file_that_is_only_cached_can_be_written() {
        assert_eq!(of(&file("/a")), Fate::Persist);
    }

    #[test]
    fn a_copy_on_another_worker_saves_nothing_when_all_go() {
        let copied = FileState {
            blocks: vec![on(&["10.0.1.7", "10.0.1.8"])],
            ..file("/job/_temporary/a")
        };
        assert!(matches!(of(&copied), Fate::Never(why) if why.contains("blacklist")));
    }

    #[test]
    fn a_store_that_takes_no_writes_takes_none_in_a_minute_either() {
        assert!(matches!(of(&file("/archive/a")), Fate::Never(why) if why.contains("takes no writes")));
    }

    #[test]
    fn what_is_being_written_or_on_no_worker_in_service_may_still_be_saved() {
        let open = FileState {
            completed: false,
            ..file("/a")
        };
        assert!(matches!(of(&open), Fate::NotYet(why) if why.contains("being written")));
        let raced = FileState {
            blocks: vec![on(&[])],
            ..file("/a")
        };
        let fate = afterwards(&raced, &[1], Settled::No);
        assert!(matches!(fate, Fate::NotYet(why) if why.contains("no worker in service")));
    }

    fn two_blocks(first: &[&str], second: &[&str]) -> FileState {
        let second = Block { id: 2, ..on(second) };
        FileState {
            blocks: vec![on(first), second],
            ..file("/a")
        }
    }

    fn is_broken(fate: Fate) -> bool {
        matches!(
            fate,
            Fate::Broken(Broken {
                lost_blocks: 1,
                blocks: 2
            })
        )
    }

    #[test]
    fn a_file_that_lost_a_block_is_told_apart() {
        assert!(is_broken(of(&two_blocks(&[HERE], &[]))));
        let blacklisted = FileState {
            path: "/_temporary/a".to_owned(),
            ..two_blocks(&[HERE], &[])
        };
        assert!(is_broken(of(&blacklisted)), "nobody need accept its loss");
    }

    #[test]
    fn a_block_that_may_come_back_breaks_nothing_yet() {
        let holder = Holder {
            host: HERE,
            in_service: true,
            listed: None,
        };
        let fate = fate(Some(&two_blocks(&[HERE], &[])), holder, Settled::No, &stores());
        assert!(matches!(fate, Fate::NotYet(_)));
    }

    #[test]
    fn with_all_out_of_service_what_was_broken_stays_so() {
        let at = |second| Timestamp::from_second(second).expect("valid");
        let file = FileState {
            modified_at: at(1_000),
            ..two_blocks(&[], &[])
        };
        let before = |second| Settled::Before {
            look: at(second),
            named: false,
        };
        assert!(is_broken(afterwards(&file, &[1], before(1_061))));
        // It may have been written while they went: its other block is on another of them.
        assert!(matches!(afterwards(&file, &[1], before(1_060)), Fate::NotYet(_)));
        assert!(matches!(afterwards(&file, &[1], Settled::No), Fate::NotYet(_)));
        let open = FileState {
            completed: false,
            ..file
        };
        assert!(matches!(afterwards(&open, &[1], before(5_000)), Fate::NotYet(_)));
        assert!(is_broken(afterwards(&open, &[1], before(5_000).naming(true))));
    }

    #[test]
    fn a_file_of_a_blacklisted_path_is_lost_whether_its_writer_is_done_or_not() {
        let open = FileState {
            completed: false,
            ..file("/_temporary/a")
        };
        assert!(matches!(of(&open), Fate::Never(_)));
    }
}
