//! What becomes of one file when every cache goes: there is no elsewhere, so it is in the under store or lost.

use std::collections::BTreeMap;

use crate::cache::{FileState, writable};

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

/// What becomes of a file. `blacklist` are the substrings of paths that the master never persists; `mounts` the mount
/// points, and whether each is read-only.
#[must_use]
pub fn fate(file: Option<&FileState>, blacklist: &[String], mounts: &BTreeMap<String, bool>) -> Fate {
    let Some(file) = file else { return Fate::Safe };
    if file.folder || file.persisted || (file.completed && file.length == 0 && file.block_hosts.is_empty()) {
        return Fate::Safe;
    }
    let listed = |part: &String| !part.is_empty() && file.path.contains(part.as_str());
    if blacklist.iter().any(listed) {
        return Fate::Never("never persisted: its path is on Alluxio's blacklist");
    }
    if !writable(&file.path, mounts) {
        return Fate::Never("its under store takes no writes");
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

    fn file(path: &str) -> FileState {
        FileState {
            path: path.to_owned(),
            length: 10,
            completed: true,
            persisted: false,
            persisting: false,
            folder: false,
            block_hosts: vec![vec!["10.0.1.7".to_owned()]],
        }
    }

    fn of(file: &FileState) -> Fate {
        let mounts = [("/".to_owned(), false), ("/archive".to_owned(), true)].into();
        fate(Some(file), &["_temporary".to_owned(), String::new()], &mounts)
    }

    #[test]
    fn what_is_persisted_deleted_or_empty_is_safe() {
        let persisted = FileState {
            persisted: true,
            ..file("/_temporary/a")
        };
        let empty = FileState {
            length: 0,
            block_hosts: Vec::new(),
            ..file("/_SUCCESS")
        };
        assert_eq!(of(&persisted), Fate::Safe);
        assert_eq!(of(&empty), Fate::Safe);
        assert_eq!(fate(None, &[], &BTreeMap::new()), Fate::Safe);
    }

    #[test]
    fn a_file_that_is_only_cached_can_be_written() {
        assert_eq!(of(&file("/a")), Fate::Persist);
    }

    #[test]
    fn a_copy_on_another_worker_saves_nothing_when_all_go() {
        let copied = FileState {
            block_hosts: vec![vec!["10.0.1.7".to_owned(), "10.0.1.8".to_owned()]],
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
            block_hosts: vec![vec![]],
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
