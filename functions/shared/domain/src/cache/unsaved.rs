//! The files that could not be saved, as an outcome tells them.

use serde::{Deserialize, Serialize};

use super::{json_bytes, shortened};

/// So many bytes of paths an outcome may hold: an event holds 256 KiB, and the outcome of a drain has other parts.
pub const MOST_LISTED_BYTES: usize = 32 * 1024;
/// So many files are remembered, of which as many are listed as there is room for.
const MOST_REMEMBERED: usize = 1_024;

/// So many bytes of them are carried from call to call.
const MOST_CARRIED_BYTES: usize = 4 * 1024;

/// What a look through all files of a worker found that exists nowhere else. It is carried from call to call, as the worker
/// may be gone before the next look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LastLook {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them, each with what it needs.
    pub named: Vec<String>,
}

impl LastLook {
    /// A look that found so much, and these among it.
    #[must_use]
    pub fn new(files: u64, bytes: u64, named: &[String]) -> Self {
        let named = within(named.iter().cloned(), MOST_CARRIED_BYTES);
        Self { files, bytes, named }
    }
}

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

    /// The largest file, with what it would have needed.
    #[must_use]
    pub fn largest_named(&self) -> Option<&str> {
        let largest = self.remembered.iter().max_by_key(|(bytes, _)| *bytes);
        largest.map(|(_, line)| line.as_str())
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
        let lines = self.remembered.into_iter().map(|(_, line)| line);
        let listed = within(lines, MOST_LISTED_BYTES);
        let more = self.files - listed.len() as u64;
        (listed, more)
    }
}

/// The first lines, as many as fit into so many bytes of JSON.
fn within(lines: impl Iterator<Item = String>, bytes: usize) -> Vec<String> {
    let mut room = bytes;
    lines
        .take_while(|line| {
            // As JSON writes it: quotes, comma, and what has to be escaped.
            let size = json_bytes(line) + 3;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .collect()
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

    #[test]
    fn what_is_carried_of_a_look_is_bounded() {
        let named = vec![format!("/{}", "\"".repeat(300)); 20];
        let look = LastLook::new(20, 5, &named);
        assert_eq!((look.files, look.bytes), (20, 5));
        let size = serde_json::to_vec(&look.named).expect("serializes").len();
        assert!((1..=MOST_CARRIED_BYTES + 2).contains(&size), "{size}");
        assert!(!look.named.is_empty());
        let huge = [format!("/{}", "a".repeat(60_000))];
        assert!(LastLook::new(1, 1, &huge).named.is_empty());
    }
}
