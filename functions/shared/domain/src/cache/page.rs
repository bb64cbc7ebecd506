//! How many files a page of a worker's list has.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The worker asks the master about each file of a page, and so does the drain about each unpersisted one: 500 take them
/// about a second when nobody else asks.
const MOST_FILES: u32 = 500;
/// A worker that cannot answer even these in time does not answer.
const LEAST_FILES: u32 = 8;
/// No file counts for more, so that a call can begin a page of the fewest at its beginning.
const LONGEST_MICROSECONDS: u64 = 1_250_000;
/// How long a page should take.
const AIM: SignedDuration = SignedDuration::from_secs(2);

/// The size of the next page, by how long the last ones took. It is carried from call to call: a page that was begun and
/// cut off would be begun again for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PageSize {
    files: u32,
    microseconds_a_file: u64,
}

impl Default for PageSize {
    fn default() -> Self {
        Self {
            files: MOST_FILES,
            microseconds_a_file: 4_000,
        }
    }
}

impl PageSize {
    /// Files of the next page, if one can be looked at in the time that is left. A page may take twice as long as the last.
    #[must_use]
    pub fn next(&self, left: SignedDuration) -> Option<u32> {
        let left = u64::try_from(left.as_micros()).unwrap_or_default();
        let fit = left / self.microseconds_a_file.max(1) / 2;
        let files = self.files.min(u32::try_from(fit).unwrap_or(u32::MAX));
        (files >= LEAST_FILES).then_some(files)
    }

    /// Notes how long a page of so many files took. The last page of a list, which is shorter, says nothing where it was
    /// quick.
    pub fn took(&mut self, files: u64, time: SignedDuration) {
        if files < self.files.into() && time <= AIM {
            return;
        }
        let time = u64::try_from(time.as_micros()).unwrap_or_default();
        self.adapt(time / files.max(1));
    }

    fn adapt(&mut self, microseconds_a_file: u64) {
        self.microseconds_a_file = microseconds_a_file.min(LONGEST_MICROSECONDS);
        let aim = u64::try_from(AIM.as_micros()).unwrap_or_default() / self.microseconds_a_file.max(1);
        let aim = u32::try_from(aim).unwrap_or(u32::MAX);
        self.files = aim
            .min(self.files.saturating_mul(2))
            .clamp(LEAST_FILES, MOST_FILES);
    }

    /// Notes that a page of so many files did not come, or could not be looked at, in that time; answers whether a
    /// smaller one is to be tried.
    pub fn failed(&mut self, files: u32, time: SignedDuration) -> bool {
        // It would have taken longer, and nobody knows how much.
        let time = u64::try_from(time.as_micros()).unwrap_or_default();
        self.adapt(time.saturating_mul(4) / u64::from(files.max(1)));
        self.files = self.files.min(files / 2).max(LEAST_FILES);
        files > LEAST_FILES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_slow_page_is_followed_by_a_smaller_one() {
        let mut size = PageSize::default();
        assert_eq!(size.next(seconds(20)), Some(500));
        size.took(500, seconds(10));
        assert_eq!(size.next(seconds(20)), Some(100));
        size.took(250, seconds(1));
        assert_eq!(size.next(seconds(20)), Some(200), "and slowly larger again");
    }

    #[test]
    fn a_short_page_says_nothing_of_longer_ones() {
        let mut size = PageSize::default();
        size.took(3, seconds(1));
        assert_eq!(size, PageSize::default());
        size.took(3, seconds(3));
        assert_eq!(size.next(seconds(20)), Some(8), "but for a slow one");
    }

    #[test]
    fn however_slow_a_call_can_begin_a_page() {
        let mut size = PageSize::default();
        while size.failed(8, seconds(10)) {}
        assert_eq!(size.next(seconds(24)), Some(LEAST_FILES));
    }

    #[test]
    fn no_page_is_begun_that_would_not_end_in_time() {
        let mut size = PageSize::default();
        size.took(500, seconds(2));
        assert_eq!(size.next(seconds(2)), Some(250));
        assert_eq!(size.next(SignedDuration::from_millis(50)), None);
        assert_eq!(size.next(seconds(-1)), None);
    }

    #[test]
    fn a_page_that_never_came_is_asked_for_by_half_down_to_a_few_files() {
        let mut size = PageSize::default();
        let mut files = 500;
        let mut tries = 0;
        while size.failed(files, seconds(1)) {
            files = size.next(seconds(100)).expect("time");
            tries += 1;
        }
        assert_eq!((files, tries), (LEAST_FILES, 6));
    }
}
