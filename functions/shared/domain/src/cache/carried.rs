//! What is carried from call to call has to fit into the data of an execution, whatever the paths are: Step Functions
//! refuses more than 256 KiB of JSON, and a path of Alluxio may be as long as its writer likes.

/// Bytes of JSON that a path may take in an answer; the middle of a longer one is left out.
pub const MOST_PATH_BYTES: usize = 1_024;

/// Bytes that a text takes in JSON, at most, without its quotes.
#[must_use]
pub fn json_bytes(text: &str) -> usize {
    text.chars().map(json_bytes_of).sum()
}

const fn json_bytes_of(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// The path, or its beginning and its end where it is too long for an answer.
#[must_use]
pub fn shortened(path: &str) -> String {
    if json_bytes(path) <= MOST_PATH_BYTES {
        return path.to_owned();
    }
    let half = |characters: &mut dyn Iterator<Item = char>| -> Vec<char> {
        let mut room = MOST_PATH_BYTES / 2 - 32;
        characters
            .take_while(|character| {
                let size = json_bytes_of(*character);
                let fits = size <= room;
                room = room.saturating_sub(size);
                fits
            })
            .collect()
    };
    let begin: String = half(&mut path.chars()).into_iter().collect();
    let end: String = half(&mut path.chars().rev()).into_iter().rev().collect();
    format!("{begin}[... of {} bytes ...]{end}", path.len())
}

/// Keeps the first of these as long as they fit into so many bytes of JSON.
pub(super) fn fit<T>(items: &mut Vec<T>, mut room: usize, size: impl Fn(&T) -> usize) {
    items.retain(|item| {
        let size = size(item);
        let fits = size <= room;
        if fits {
            room -= size;
        }
        fits
    });
}

/// A number that stands for a path: FNV-1a, 48 bits of it, as `JSONata` knows no integers beyond 2^53.
#[must_use]
pub(super) fn mark(path: &str) -> u64 {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 16
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Paths that take more room than they look.
    pub(crate) fn odd_paths() -> Vec<String> {
        vec![
            "/a".to_owned(),
            "/".repeat(1_500),
            "/long".repeat(12_000),
            "/\"\\".repeat(20_000),
            "/\u{1}\n\t".repeat(15_000),
            "/ü漢🌊".repeat(6_000),
        ]
    }

    #[test]
    fn a_path_is_shortened_only_where_it_is_too_long() {
        assert_eq!(shortened("/a/b"), "/a/b");
        for path in odd_paths() {
            let size = serde_json::to_string(&shortened(&path)).expect("a text").len();
            assert!(size <= MOST_PATH_BYTES + 2, "{size}");
        }
        let long = format!("/begin{}/end", "x".repeat(60_000));
        let short = shortened(&long);
        assert!(
            short.starts_with("/beginx") && short.ends_with("x/end"),
            "{short}"
        );
        assert!(short.contains("of 60010 bytes"), "{short}");
    }

    #[test]
    fn bytes_in_json_are_never_underestimated() {
        for path in odd_paths() {
            let size = serde_json::to_string(&path).expect("a text").len();
            assert!(json_bytes(&path) + 2 >= size, "{size}");
        }
    }

    #[test]
    fn a_mark_survives_a_language_without_integers() {
        let marks = ["/a", "/b", "", "/a/b"].map(mark);
        assert!(marks.iter().all(|mark| *mark < 1 << 53));
        assert_ne!(marks[0], marks[1]);
        assert_eq!(mark("/a"), marks[0]);
    }
}
