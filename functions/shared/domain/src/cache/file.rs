//! What one file needs before the worker that holds it may go.

/// A file as the master knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// `path`, as the master answers it.
    pub path: String,
    /// `length` in bytes.
    pub length: u64,
    /// `completed`: no longer being written.
    pub completed: bool,
    /// `persisted`, or `persistenceState` is `PERSISTED`.
    pub persisted: bool,
    /// A directory, which holds no data.
    pub folder: bool,
    /// `replicationMin`.
    pub replication_min: u32,
    /// For each block, the hosts of the workers in service that hold a copy.
    pub block_hosts: Vec<Vec<String>>,
}

impl FileState {
    /// Whether each block has a copy in service on another host.
    #[must_use]
    pub fn complete_without(&self, host: &str) -> bool {
        self.block_hosts
            .iter()
            .all(|hosts| hosts.iter().any(|other| other != host))
    }
}

/// What a file needs before the worker may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is in the under store, or empty, or gone.
    Nothing,
    /// To be written to the under store.
    Persist,
    /// A copy on another worker, as the master never persists such a path: so many copies in all.
    Replicate(u32),
    /// That its writer finishes: an incomplete file can be neither persisted nor replicated.
    Completion,
    /// That its worker registers again: the master has no copy of it in service, so it can do nothing with it.
    Registration,
}

/// What a file on a worker needs. `registered` says whether that worker is in service, so that the master can have
/// its blocks read; `blacklist` are the substrings of paths that the master never persists.
#[must_use]
pub fn judge(file: Option<&FileState>, host: &str, registered: bool, blacklist: &[String]) -> Need {
    let Some(file) = file else { return Need::Nothing };
    if file.folder || file.persisted || (file.completed && file.length == 0 && file.block_hosts.is_empty()) {
        return Need::Nothing;
    }
    if !file.completed {
        return Need::Completion;
    }
    let elsewhere = file.complete_without(host);
    let unpersistable = blacklist
        .iter()
        .any(|part| !part.is_empty() && file.path.contains(part.as_str()));
    if unpersistable {
        return match (elsewhere, registered) {
            (true, _) => Need::Nothing,
            (false, true) => Need::Replicate(file.replication_min.max(1) + 1),
            (false, false) => Need::Registration,
        };
    }
    if registered || elsewhere {
        Need::Persist
    } else {
        Need::Registration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "10.0.1.7";

    fn file(path: &str) -> FileState {
        FileState {
            path: path.to_owned(),
            length: 10,
            completed: true,
            persisted: false,
            folder: false,
            replication_min: 0,
            block_hosts: vec![vec![HERE.to_owned()]],
        }
    }

    fn on(hosts: &[&[&str]], file: FileState) -> FileState {
        let block_hosts = hosts
            .iter()
            .map(|block| block.iter().map(ToString::to_string).collect())
            .collect();
        FileState { block_hosts, ..file }
    }

    fn need(file: &FileState, registered: bool) -> Need {
        judge(
            Some(file),
            HERE,
            registered,
            &["_temporary".to_owned(), ".tmp".to_owned()],
        )
    }

    #[test]
    fn a_file_that_was_deleted_needs_nothing() {
        assert_eq!(judge(None, HERE, true, &[]), Need::Nothing);
    }

    #[test]
    fn a_persisted_file_needs_nothing_wherever_its_copies_are() {
        assert_eq!(
            need(
                &FileState {
                    persisted: true,
                    ..file("/a")
                },
                false
            ),
            Need::Nothing
        );
    }

    #[test]
    fn an_unpersisted_file_is_persisted_even_when_another_worker_has_a_copy() {
        assert_eq!(need(&file("/a"), true), Need::Persist);
        assert_eq!(need(&on(&[&[HERE, "10.0.1.8"]], file("/a")), true), Need::Persist);
    }

    #[test]
    fn a_file_that_is_never_persisted_needs_one_copy_more_than_it_may_have_here() {
        assert_eq!(need(&file("/job/_temporary/part-0"), true), Need::Replicate(2));
        let wanted = FileState {
            replication_min: 2,
            ..file("/x.tmp")
        };
        assert_eq!(need(&wanted, true), Need::Replicate(3));
    }

    #[test]
    fn a_file_that_is_never_persisted_is_safe_only_when_every_block_is_elsewhere() {
        let path = "/job/_temporary/part-0";
        assert_eq!(
            need(&on(&[&[HERE, "10.0.1.8"], &["10.0.1.9"]], file(path)), true),
            Need::Nothing
        );
        assert_eq!(
            need(&on(&[&[HERE, "10.0.1.8"], &[HERE]], file(path)), true),
            Need::Replicate(2)
        );
    }

    #[test]
    fn a_file_that_is_being_written_waits_for_its_writer() {
        assert_eq!(
            need(
                &FileState {
                    completed: false,
                    ..file("/a")
                },
                true
            ),
            Need::Completion
        );
    }

    #[test]
    fn a_sole_copy_on_a_decommissioned_worker_waits_for_its_registration() {
        assert_eq!(need(&on(&[&[]], file("/a")), false), Need::Registration);
        assert_eq!(need(&on(&[&[]], file("/x.tmp")), false), Need::Registration);
    }

    #[test]
    fn an_empty_file_holds_no_byte_to_lose() {
        assert_eq!(
            need(
                &on(
                    &[],
                    FileState {
                        length: 0,
                        ..file("/_SUCCESS")
                    }
                ),
                true
            ),
            Need::Nothing
        );
    }
}
