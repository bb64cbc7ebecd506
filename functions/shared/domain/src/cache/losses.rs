//! Files that are lost, or would be, or were broken before: all are counted, the largest are named.

use serde::{Deserialize, Serialize};

/// So many files are named.
const MOST_NAMED: usize = 100;
/// The names take at most this many bytes of JSON: they are carried from call to call, told on the bus, and kept in the
/// output.
pub const MOST_LOSSES_BYTES: usize = 16 * 1024;
/// A longer path is named by its beginning and its end, this many characters in all.
const LONGEST_PATH: usize = 800;

/// A file that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why it cannot be saved.
    pub why: String,
}

/// Files that are lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Losses {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The largest of them.
    pub largest: Vec<Loss>,
}

impl Losses {
    /// Notes a file.
    pub fn note(&mut self, path: &str, bytes: u64, why: &str) {
        self.files += 1;
        self.bytes += bytes;
        let path = shortened(path);
        if self.largest.iter().all(|loss| loss.path != path) {
            self.largest.push(Loss {
                path,
                bytes,
                why: why.to_owned(),
            });
        }
        if self.largest.len() > 2 * MOST_NAMED {
            self.tidy();
        }
    }

    /// The same with those.
    pub fn add(&mut self, others: &Self) {
        let (files, bytes) = (self.files + others.files, self.bytes + others.bytes);
        for loss in &others.largest {
            self.note(&loss.path, loss.bytes, &loss.why);
        }
        (self.files, self.bytes) = (files, bytes);
        self.tidy();
    }

    /// Keeps as many as are named, the largest first.
    pub fn tidy(&mut self) {
        self.largest.sort_by(|left, right| {
            right
                .bytes
                .cmp(&left.bytes)
                .then_with(|| left.path.cmp(&right.path))
        });
        // But for the brackets around all of them.
        let mut room = MOST_LOSSES_BYTES - 2;
        let fit = self.largest.iter().take(MOST_NAMED).take_while(|loss| {
            // With its comma. A path of control characters is six times as long in JSON.
            let size = serde_json::to_string(loss).map_or(usize::MAX / 2, |text| text.len()) + 1;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let fit = fit.count();
        self.largest.truncate(fit);
    }

    /// Whether it names a file of that path.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.largest.iter().any(|loss| loss.path == path)
    }

    /// How many are not named.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.files.saturating_sub(self.largest.len() as u64)
    }

    /// Each named file with its length, and why.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let largest = self.largest.iter();
        largest
            .map(|loss| format!("{} ({} bytes: {})", loss.path, loss.bytes, loss.why))
            .collect()
    }

    /// In words: `2 files (10 bytes), such as /a (still being written)`.
    #[must_use]
    pub fn told(&self) -> String {
        let named = self.largest.iter().max_by_key(|loss| loss.bytes);
        let such = named.map_or_else(String::new, |loss| {
            format!(", such as {} ({})", loss.path, loss.why)
        });
        format!("{} files ({} bytes){such}", self.files, self.bytes)
    }
}

fn shortened(path: &str) -> String {
    let length = path.chars().count();
    if length <= LONGEST_PATH {
        return path.to_owned();
    }
    let part = LONGEST_PATH / 2;
    let beginning: String = path.chars().take(part).collect();
    let end: String = path.chars().skip(length - part).collect();
    format!("{beginning}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_largest_named() {
        let mut losses = Losses::default();
        for number in 1..=1_000 {
            losses.note(&format!("/part-{number}"), number, "still being written");
        }
        losses.tidy();
        assert_eq!((losses.files, losses.bytes), (1_000, 500_500));
        assert_eq!(losses.largest[0].path, "/part-1000");
        assert_eq!(losses.largest.len(), MOST_NAMED);
        assert_eq!(losses.more(), 900);
    }

    #[test]
    fn names_stay_within_their_room_whatever_they_are() {
        for path in ["/a", "/\u{1}\n", "/\"\\", "/ü漢"] {
            let mut losses = Losses::default();
            for number in 0..200 {
                losses.note(&format!("{}{number}", path.repeat(200)), number, "why");
            }
            losses.tidy();
            let size = serde_json::to_vec(&losses.largest).expect("JSON").len();
            assert!(size <= MOST_LOSSES_BYTES, "{size}: {path:?}");
            assert!(!losses.largest.is_empty(), "{path:?}");
        }
    }

    #[test]
    fn a_path_of_60_kb_leaves_room_for_the_others() {
        let mut losses = Losses::default();
        losses.note(&format!("/{}/end", "\u{1}".repeat(60_000)), 9, "why");
        losses.note("/a", 1, "why");
        losses.tidy();
        assert_eq!(losses.largest.len(), 2);
        assert!(losses.largest[0].path.ends_with("/end"));
    }

    #[test]
    fn what_is_added_is_counted_and_a_path_is_named_once() {
        let mut losses = Losses::default();
        losses.note("/a", 3, "why");
        let mut others = Losses::default();
        others.note("/a", 3, "why");
        others.note("/b", 5, "why");
        losses.add(&others);
        assert_eq!((losses.files, losses.bytes, losses.largest.len()), (3, 11, 2));
        assert_eq!(losses.told(), "3 files (11 bytes), such as /b (why)");
    }
}
