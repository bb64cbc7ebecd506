//! What becomes of one file when every cache goes: there is no elsewhere, so it is in the under store or lost.

use crate::cache::{FileState, Stores};

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
}

/// What becomes of a file.
#[must_use]
pub fn fate(file: Option<&FileState>, stores: &Stores) -> Fate {
    let Some(file) = file.filter(|file| !file.holds_nothing()) else {
        return Fate::Safe;
    };
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
    use crate::cache::Block;

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

    fn of(file: &FileState) -> Fate {
        let stores = Stores {
            blacklist: vec!["_temporary".to_owned(), String::new()],
            mounts: [("/".to_owned(), false), ("/archive".to_owned(), true)].into(),
            stalled: false,
        };
        fate(Some(file), &stores)
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
        assert_eq!(fate(None, &Stores::default()), Fate::Safe);
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
        let unreadable = FileState {
            blocks: vec![on(&[])],
            ..file("/a")
        };
        assert!(matches!(of(&unreadable), Fate::NotYet(why) if why.contains("no worker in service")));
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
