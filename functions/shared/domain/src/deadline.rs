//! How long an execution may take, and how often it asks.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::subject::Hook;

/// Seconds before a hook's global timeout at which an execution must have decided: enough for one more call of a
/// function (30 s) and the completion.
const SECONDS_TO_COMPLETE: i64 = 60;

/// The frame of time that a state machine hands to every function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// When the execution began.
    pub started_at: Timestamp,
    /// When it must have decided.
    pub deadline: Timestamp,
}

impl Frame {
    /// Seconds since the execution began.
    #[must_use]
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.duration_since(self.started_at).as_secs().max(0)
    }

    /// Whether time is up.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }
}

/// When an execution must have decided: its limit, or earlier where its hook ends before that.
#[must_use]
pub fn deadline(started_at: Timestamp, limit_seconds: u32, hook: Option<&Hook>) -> Timestamp {
    let limit = i64::from(limit_seconds);
    let seconds = match hook {
        Some(hook) if hook.global_seconds > 0 => {
            let hook_seconds = i64::from(hook.global_seconds);
            limit.min((hook_seconds - SECONDS_TO_COMPLETE).max(hook_seconds / 2))
        }
        _ => limit,
    };
    started_at + SignedDuration::from_secs(seconds)
}

/// After how many seconds to ask again.
///
/// Soon at first, later rarely: a Standard execution holds 25,000 events, a round of both branches of a drain
/// makes about 28, and a hook may last 48 hours. Never more than half of the hook's heartbeat, less what a call
/// watches.
#[must_use]
pub fn retry_after_seconds(frame: &Frame, now: Timestamp, hook: Option<&Hook>, watch_seconds: u32) -> u32 {
    let patience = match frame.age_seconds(now) {
        ..300 => 3,
        300..3_600 => 30,
        3_600..21_600 => 120,
        _ => 300,
    };
    let heart = hook.map_or(u32::MAX, |hook| {
        (hook.heartbeat_seconds / 2).saturating_sub(watch_seconds)
    });
    let left = u32::try_from(frame.deadline.duration_since(now).as_secs()).unwrap_or(0);
    let to_deadline = if left == 0 { u32::MAX } else { left };
    patience.min(heart).min(to_deadline).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(heartbeat_seconds: u32, global_seconds: u32) -> Hook {
        Hook {
            name: "h".into(),
            heartbeat_seconds,
            global_seconds,
            default_result: "ABANDON".into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("valid")
    }

    #[test]
    fn an_execution_decides_before_its_hook_ends() {
        assert_eq!(deadline(at(0), 1_800, None), at(1_800));
        assert_eq!(deadline(at(0), 1_800, Some(&hook(300, 30_000))), at(1_800));
        assert_eq!(deadline(at(0), 1_800, Some(&hook(10, 1_000))), at(940));
        assert_eq!(deadline(at(0), 1_800, Some(&hook(1, 100))), at(50));
    }

    #[test]
    fn it_asks_soon_at_first_and_rarely_later() {
        let frame = Frame {
            started_at: at(0),
            deadline: at(172_800),
        };
        let after = |age| retry_after_seconds(&frame, at(age), None, 20);
        assert_eq!(
            [after(0), after(299), after(300), after(3_600), after(21_600)],
            [3, 3, 30, 120, 300]
        );
    }

    #[test]
    fn it_asks_often_enough_for_the_heartbeat() {
        let frame = Frame {
            started_at: at(0),
            deadline: at(172_800),
        };
        assert_eq!(
            retry_after_seconds(&frame, at(30_000), Some(&hook(300, 30_000)), 20),
            130
        );
        assert_eq!(
            retry_after_seconds(&frame, at(30_000), Some(&hook(30, 3_000)), 20),
            1
        );
    }

    #[test]
    fn it_asks_at_the_deadline_at_the_latest() {
        let frame = Frame {
            started_at: at(0),
            deadline: at(400),
        };
        assert_eq!(retry_after_seconds(&frame, at(390), None, 20), 10);
        assert_eq!(retry_after_seconds(&frame, at(500), None, 20), 30);
    }

    #[test]
    fn two_days_of_asking_fit_into_an_execution_history() {
        const EVENTS_A_ROUND: u32 = 28;
        let frame = Frame {
            started_at: at(0),
            deadline: at(172_800),
        };
        let (mut now, mut rounds) = (0_i64, 0_u32);
        while now < 172_800 {
            now += 20
                + i64::from(retry_after_seconds(
                    &frame,
                    at(now),
                    Some(&hook(3_600, 172_800)),
                    20,
                ));
            rounds += 1;
        }
        assert!(rounds * EVENTS_A_ROUND < 24_000, "{rounds} rounds");
    }
}
