//! The names of repair executions. A name is used once in 90 days, so a second start under it is refused; the number
//! in it counts the attempts that came to an end.

use jiff::{SignedDuration, Timestamp};

use crate::resolve::Direction;

/// Between the end of the first attempt and the second.
const FIRST_PAUSE_SECONDS: i64 = 300;
/// Between two attempts at the longest.
const LONGEST_PAUSE_SECONDS: i64 = 21_600;

/// The name of an attempt's execution.
#[must_use]
pub fn execution_name(direction: Direction, instance: &str, number: u32) -> String {
    let word = match direction {
        Direction::Join => "join",
        Direction::Drain => "drain",
    };
    format!("drift-{word}-{instance}-{number}")
}

/// The execution of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, ...
    pub status: String,
    /// When it ended; none while it runs.
    pub ended_at: Option<Timestamp>,
}

/// Finds the last attempt among numbered names with few questions: 1, 2, 4, ... until one is not there, then between.
#[derive(Clone, Debug, Default)]
pub struct Search {
    last: u32,
    known: Option<Attempt>,
    absent: Option<u32>,
}

impl Search {
    /// The number to ask for; none where the last attempt is known.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        match self.absent {
            None => Some(self.last.saturating_mul(2).max(1)),
            Some(absent) if absent - self.last > 1 => Some(self.last + (absent - self.last) / 2),
            Some(_) => None,
        }
    }

    /// Takes the answer for a number.
    pub fn found(&mut self, number: u32, attempt: Option<Attempt>) {
        match attempt {
            Some(attempt) => (self.last, self.known) = (number, Some(attempt)),
            None => self.absent = Some(number),
        }
    }

    /// What to do about the next attempt.
    #[must_use]
    pub fn attempts(self) -> Attempts {
        Attempts {
            number: self.last,
            last: self.known,
        }
    }
}

/// The attempts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many.
    pub number: u32,
    /// The last of them.
    pub last: Option<Attempt>,
}

/// What to do about the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start it, under that number.
    Start(u32),
    /// The last one still runs.
    Running(u32),
    /// The last one has ended only just now: that many seconds more.
    Pause(i64),
}

impl Attempts {
    /// What to do now. The pause doubles with each attempt.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        let Some(last) = &self.last else {
            return Next::Start(1);
        };
        let Some(ended_at) = last.ended_at else {
            return Next::Running(self.number);
        };
        let doubled = 1_i64
            .checked_shl(self.number.saturating_sub(1).min(16))
            .unwrap_or(1);
        let pause = (FIRST_PAUSE_SECONDS * doubled).min(LONGEST_PAUSE_SECONDS);
        let left = (ended_at + SignedDuration::from_secs(pause))
            .duration_since(now)
            .as_secs();
        if left > 0 {
            Next::Pause(left)
        } else {
            Next::Start(self.number + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::fixtures::at;

    fn ended(seconds: i64) -> Attempt {
        Attempt {
            status: "FAILED".into(),
            ended_at: Some(at(seconds)),
        }
    }

    #[test]
    fn the_last_of_many_attempts_is_found_with_few_questions() {
        for many in [0, 1, 2, 3, 7, 8, 300] {
            let mut search = Search::default();
            let mut questions = 0;
            while let Some(number) = search.next() {
                questions += 1;
                search.found(number, (number <= many).then(|| ended(0)));
            }
            assert_eq!(search.attempts().number, many);
            assert!(questions <= 18, "{questions} questions for {many}");
        }
    }

    #[test]
    fn an_attempt_that_runs_is_left_alone() {
        let attempts = Attempts {
            number: 3,
            last: Some(Attempt {
                status: "RUNNING".into(),
                ended_at: None,
            }),
        };
        assert_eq!(attempts.next(at(0)), Next::Running(3));
    }

    #[test]
    fn the_next_attempt_waits_longer_each_time_and_never_longer_than_six_hours() {
        let after = |number, now| {
            Attempts {
                number,
                last: Some(ended(0)),
            }
            .next(at(now))
        };
        assert_eq!(Attempts::default().next(at(0)), Next::Start(1));
        assert_eq!(after(1, 299), Next::Pause(1));
        assert_eq!(after(1, 300), Next::Start(2));
        assert_eq!(after(2, 300), Next::Pause(300));
        assert_eq!(after(100, 21_599), Next::Pause(1));
        assert_eq!(after(100, 21_600), Next::Start(101));
    }

    #[test]
    fn a_name_says_what_for_whom_and_how_often() {
        assert_eq!(
            execution_name(Direction::Drain, "i-0123456789abcdef0", 2),
            "drift-drain-i-0123456789abcdef0-2"
        );
    }
}
