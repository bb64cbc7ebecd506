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
    /// `persistenceState` is `TO_BE_PERSISTED`: Alluxio is going to write it, or writes it, or waits to try again. To
    /// ask for it once more makes it begin anew.
    pub persisting: bool,
    /// A directory, which holds no data.
    pub folder: bool,
    /// For each block, the hosts of the workers in service that hold a copy.
    pub block_hosts: Vec<Vec<String>>,
}

impl FileState {
    /// Whether the master can have each block read: it reads from workers in service only.
    pub(crate) fn readable(&self) -> bool {
        self.block_hosts.iter().all(|hosts| !hosts.is_empty())
    }

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
    /// A copy on another worker: the master never persists such a path, or cannot read it from where it is.
    Copy,
    /// That its writer finishes: an incomplete file can be neither persisted nor copied.
    Completion,
}

/// What a file on that host's worker needs. `blacklist` are the substrings of paths that the master never persists.
#[must_use]
pub fn judge(file: Option<&FileState>, host: &str, blacklist: &[String]) -> Need {
    let Some(file) = file else { return Need::Nothing };
    if file.folder || file.persisted || (file.completed && file.length == 0 && file.block_hosts.is_empty()) {
        return Need::Nothing;
    }
    if !file.completed {
        return Need::Completion;
    }
    let unpersistable = blacklist
        .iter()
        .any(|part| !part.is_empty() && file.path.contains(part.as_str()));
    if unpersistable {
        return if file.complete_without(host) {
            Need::Nothing
        } else {
            Need::Copy
        };
    }
    if file.readable() {
        Need::Persist
    } else {
        Need::Copy
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
            persisting: false,
            folder: false,
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

    fn need(file: &FileState) -> Need {
        judge(Some(file), HERE, &["_temporary".to_owned(), ".tmp".to_owned()])
    }

    #[test]
    fn a_file_that_was_deleted_needs_nothing() {
        assert_eq!(judge(None, HERE, &[]), Need::Nothing);
    }

    #[test]
    fn a_persisted_file_needs_nothing_wherever_its_copies_are() {
        let persisted = FileState {
            persisted: true,
            ..on(&[&[]], file("/a"))
        };
        assert_eq!(need(&persisted), Need::Nothing);
    }

    #[test]
    fn an_unpersisted_file_is_persisted_even_when_another_worker_has_a_copy() {
        assert_eq!(need(&file("/a")), Need::Persist);
        assert_eq!(need(&on(&[&[HERE, "10.0.1.8"]], file("/a"))), Need::Persist);
    }

    #[test]
    fn a_file_that_is_never_persisted_is_safe_only_when_every_block_is_elsewhere() {
        let path = "/job/_temporary/part-0";
        assert_eq!(need(&file(path)), Need::Copy);
        assert_eq!(need(&on(&[&[HERE, "10.0.1.8"], &[HERE]], file(path))), Need::Copy);
        assert_eq!(
            need(&on(&[&[HERE, "10.0.1.8"], &["10.0.1.9"]], file(path))),
            Need::Nothing
        );
    }

    #[test]
    fn a_file_that_is_being_written_waits_for_its_writer() {
        let incomplete = FileState {
            completed: false,
            ..file("/a")
        };
        assert_eq!(need(&incomplete), Need::Completion);
    }

    #[test]
    fn an_only_copy_on_a_worker_out_of_service_is_copied_and_then_persisted() {
        assert_eq!(need(&on(&[&[]], file("/a"))), Need::Copy);
        assert_eq!(need(&on(&[&[], &["10.0.1.8"]], file("/a"))), Need::Copy);
        assert_eq!(
            need(&on(&[&["10.0.1.9"], &["10.0.1.8"]], file("/a"))),
            Need::Persist
        );
    }

    #[test]
    fn an_empty_file_holds_no_byte_to_lose() {
        let empty = FileState {
            length: 0,
            ..file("/_SUCCESS")
        };
        assert_eq!(need(&on(&[], empty)), Need::Nothing);
    }
}
