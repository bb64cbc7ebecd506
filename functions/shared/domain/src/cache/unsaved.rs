//! The files that could not be saved, as an outcome tells them.

use super::{json_bytes, shortened};

/// So many bytes of paths an outcome may hold: an event holds 256 KiB, and the outcome of a drain has other parts.
pub const MOST_LISTED_BYTES: usize = 32 * 1024;
/// So many files are remembered, of which as many are listed as there is room for.
const MOST_REMEMBERED: usize = 1_024;

/// What could not be saved. All of it is counted; the largest are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    remembered: Vec<(u64, String)>,
}

impl Unsaved {
    /// Notes a file, and what it would have needed.
    pub fn note(&mut self, path: &str, bytes: u64, what: &str) {
        self.files += 1;
        self.bytes += bytes;
        self.remembered
            .push((bytes, format!("{} ({bytes} bytes: {what})", shortened(path))));
        if self.remembered.len() >= 2 * MOST_REMEMBERED {
            self.largest();
        }
    }

    fn largest(&mut self) {
        self.remembered
            .sort_by(|(left, first), (right, second)| right.cmp(left).then_with(|| first.cmp(second)));
        self.remembered.truncate(MOST_REMEMBERED);
    }

    /// The largest files, as many as an outcome has room for, and how many more there are.
    #[must_use]
    pub fn list(mut self) -> (Vec<String>, u64) {
        self.largest();
        let mut room = MOST_LISTED_BYTES;
        let mut listed = Vec::new();
        for (_, line) in self.remembered {
            // As JSON writes it: quotes, comma, and what has to be escaped.
            let size = json_bytes(&line) + 3;
            if size > room {
                break;
            }
            room -= size;
            listed.push(line);
        }
        let more = self.files - listed.len() as u64;
        (listed, more)
    }
}

#[cfg(test)]
mod tests {
    use super::super::carried::tests::odd_paths;
    use super::*;

    fn with_files(files: u64, path: &str) -> Unsaved {
        let mut unsaved = Unsaved::default();
        for number in 1..=files {
            unsaved.note(&format!("{path}{number}"), number, "not in the under store");
        }
        unsaved
    }

    #[test]
    fn each_file_is_listed_the_largest_first() {
        let (listed, more) = with_files(3, "/a").list();
        assert_eq!(listed[0], "/a3 (3 bytes: not in the under store)");
        assert_eq!((listed.len(), more), (3, 0));
    }

    #[test]
    fn of_more_files_than_there_is_room_for_the_others_are_counted() {
        let unsaved = with_files(1_000_000, "/some/table/part-");
        assert_eq!((unsaved.files, unsaved.bytes), (1_000_000, 500_000_500_000));
        let (listed, more) = unsaved.list();
        assert!(
            listed[0].starts_with("/some/table/part-1000000 "),
            "{}",
            listed[0]
        );
        assert!(listed.len() > 300);
        assert_eq!(listed.len() as u64 + more, 1_000_000);
    }

    #[test]
    fn the_list_stays_within_its_room_whatever_the_paths_are() {
        for path in odd_paths() {
            let (listed, _) = with_files(1_000, &path).list();
            let size = serde_json::to_vec(&listed).expect("serializes").len();
            assert!(size <= MOST_LISTED_BYTES + 2, "{size}: {path:?}");
            assert!(!listed.is_empty(), "{path:?}");
        }
    }
}
