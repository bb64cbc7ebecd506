//! What is saved first where there is hardly time for all: when EC2 takes a Spot instance back in two minutes.
//!
//! A file costs a task of the job service whatever its size (tens of milliseconds), and then time for each byte, several
//! at once. So the bytes saved in a second grow with the size of the file: the largest first saves the most, as long as
//! each is in the under store before time is up. One that cannot be is no use, and comes after all that can.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::deadline::Frame;

/// An execution that has no more than this from its begin is in a hurry: the 120 s of a Spot warning, and a little for a
/// clock that differs.
const HURRY_SECONDS: i64 = 130;
/// So many files are put in order; the rest comes as it comes. What two minutes of a job service save at the most
/// (tens a second), and some hundred KiB of paths.
const MOST_RANKED: usize = 4_096;
/// A job worker writes so many bytes of one file a second at the least: one stream to an object store.
const STREAM_BYTES_PER_SECOND: u64 = 30_000_000;

impl Frame {
    /// Whether an execution had hardly time from its begin.
    #[must_use]
    pub fn hurries(&self) -> bool {
        self.deadline.duration_since(self.started_at).as_secs() <= HURRY_SECONDS
    }
}

/// The largest of some files that can be written in the time left.
#[derive(Debug)]
pub struct Ranking {
    longest_bytes: u64,
    // The smallest of them on top, which goes first when there are too many.
    largest: BinaryHeap<Reverse<(u64, String)>>,
}

impl Ranking {
    /// Of no file yet, with that many seconds left.
    #[must_use]
    pub fn within(seconds_left: u64) -> Self {
        Self {
            longest_bytes: seconds_left.saturating_mul(STREAM_BYTES_PER_SECOND),
            largest: BinaryHeap::new(),
        }
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, bytes: u64) {
        if bytes > self.longest_bytes {
            return;
        }
        let smallest = self.largest.peek().map_or(0, |Reverse((bytes, _))| *bytes);
        if self.largest.len() < MOST_RANKED {
            self.largest.push(Reverse((bytes, path.to_owned())));
        } else if bytes > smallest {
            self.largest.pop();
            self.largest.push(Reverse((bytes, path.to_owned())));
        }
    }

    /// The paths, the largest file first.
    #[must_use]
    pub fn in_order(self) -> Vec<String> {
        let sorted = self.largest.into_sorted_vec();
        sorted.into_iter().map(|Reverse((_, path))| path).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn order(seconds_left: u64, files: &[(&str, u64)]) -> Vec<String> {
        let mut ranking = Ranking::within(seconds_left);
        for (path, bytes) in files {
            ranking.add(path, *bytes);
        }
        ranking.in_order()
    }

    #[test]
    fn the_largest_file_comes_first() {
        let files = [("/small", 1), ("/large", 300), ("/middle", 20)];
        assert_eq!(order(60, &files), ["/large", "/middle", "/small"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_in_time_takes_no_time_from_those_that_can() {
        let files = [("/huge", 301_000_000), ("/fits", 300_000_000)];
        assert_eq!(order(10, &files), ["/fits"]);
        assert_eq!(order(11, &files), ["/huge", "/fits"]);
        assert_eq!(order(0, &[("/any", 1), ("/empty", 0)]), ["/empty"]);
    }

    #[test]
    fn of_too_many_files_the_largest_are_kept() {
        let mut ranking = Ranking::within(60);
        for bytes in 0..100_000 {
            ranking.add(&format!("/{bytes}"), bytes);
        }
        let order = ranking.in_order();
        assert_eq!(order.len(), MOST_RANKED);
        assert_eq!(
            (order[0].as_str(), order[MOST_RANKED - 1].as_str()),
            ("/99999", "/95904")
        );
    }

    /// Files of two kinds, one job worker of 10 files a second and 30 MB/s: what is saved after so many seconds.
    fn saved_bytes(files: &[u64], seconds: f64) -> u64 {
        let mut left = seconds;
        let mut saved = 0;
        for bytes in files {
            #[expect(clippy::cast_precision_loss, reason = "sizes of a test")]
            let cost = 0.1 + *bytes as f64 / 30e6;
            if cost > left {
                break;
            }
            left -= cost;
            saved += bytes;
        }
        saved
    }

    #[test]
    fn but_for_the_one_that_is_being_written_the_largest_first_save_the_most_bytes_whenever_time_is_up() {
        let mut files: Vec<u64> = (0..400)
            .map(|n| if n % 8 == 0 { 60_000_000 } else { 4_096 })
            .collect();
        let as_listed = files.clone();
        files.sort_by_key(|bytes| Reverse(*bytes));
        let (largest_first, smallest_first) = (files.clone(), files.into_iter().rev().collect::<Vec<_>>());
        for seconds in [5.0, 20.0, 60.0, 100.0] {
            let saved = saved_bytes(&largest_first, seconds) + 60_000_000;
            assert!(saved > saved_bytes(&as_listed, seconds), "{seconds}");
            assert!(saved > saved_bytes(&smallest_first, seconds), "{seconds}");
        }
        assert!(saved_bytes(&largest_first, 60.0) > 2 * saved_bytes(&smallest_first, 60.0));
    }

    #[test]
    fn a_spot_warning_is_a_hurry_and_an_hour_is_none() {
        let frame = |seconds| Frame {
            started_at: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds),
        };
        assert!(frame(120).hurries() && frame(30).hurries() && frame(-5).hurries());
        assert!(!frame(150).hurries() && !frame(3_600).hurries());
    }
}
