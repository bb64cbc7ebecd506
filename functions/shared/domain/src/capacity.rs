//! Whether a group can do at the end of a drain what the drain is started for. Auto Scaling says so only when the instance
//! is to be ended, with its node drained by then.

use crate::ports::GroupSettings;

/// What becomes of an instance in service at the end of its drain, where no hook waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stays.
    Stays,
    /// It is ended, and its group has one instance less.
    Shrinks,
    /// It is ended, and its group launches another one.
    Replaced,
}

/// Why a group will not end an instance so; none where it will.
#[must_use]
pub fn refusal(group: &str, settings: &GroupSettings, end: End) -> Option<String> {
    let GroupSettings {
        min_size,
        desired_capacity,
        ..
    } = settings;
    (end == End::Shrinks && spare(settings) == 0).then(|| {
        format!(
            "group {group} is at its minimum size (MinSize {min_size}, DesiredCapacity {desired_capacity}), and would \
             refuse to end the instance after its drain: start node-drain with \"replace\": true, so that the group \
             launches another instance, or with \"terminate\": false, so that the instance stays, or lower the minimum \
             size of the group"
        )
    })
}

/// How many instances the group may have less.
const fn spare(settings: &GroupSettings) -> u32 {
    settings.desired_capacity.saturating_sub(settings.min_size)
}

/// Why a group will not end that many instances, each with its place; none where it will.
#[must_use]
pub fn refusal_of_several(group: &str, settings: &GroupSettings, instances: u32) -> Option<String> {
    let GroupSettings {
        min_size,
        desired_capacity,
        ..
    } = settings;
    let spare = spare(settings);
    (instances > spare).then(|| {
        format!(
            "group {group} may lose {spare} instances (MinSize {min_size}, DesiredCapacity {desired_capacity}), and \
             {instances} of it are to be drained and ended: start node-drain with \"replace\": true, so that the group \
             launches others, or with \"terminate\": false, so that the instances stay, or lower the minimum size of the \
             group"
        )
    })
}

/// What a suspended process of the group will keep from happening. AWS does not say whether a group whose process
/// `Terminate` is suspended ends an instance that is named to it:
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/suspend-resume-considerations.html>
#[must_use]
pub fn suspended(group: &str, settings: &GroupSettings, end: End) -> Vec<String> {
    let suspended = |process: &str| settings.suspended.iter().any(|name| name == process);
    let mut found = Vec::new();
    if end == End::Replaced && suspended("Launch") {
        found.push(format!(
            "process Launch of group {group} is suspended: nothing replaces the instance until it is resumed"
        ));
    }
    if end != End::Stays && suspended("Terminate") {
        found.push(format!(
            "process Terminate of group {group} is suspended: the instance may not be ended until it is resumed"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(min_size: u32, desired_capacity: u32) -> GroupSettings {
        GroupSettings {
            min_size,
            desired_capacity,
            ..GroupSettings::default()
        }
    }

    #[test]
    fn only_a_group_at_its_minimum_refuses_to_shrink() {
        for (min_size, desired, refuses) in [(3, 3, true), (3, 2, true), (2, 3, false), (0, 1, false)] {
            let refusal = refusal("nvme", &settings(min_size, desired), End::Shrinks);
            assert_eq!(refusal.is_some(), refuses, "{min_size} of {desired}");
        }
        for end in [End::Stays, End::Replaced] {
            assert_eq!(refusal("nvme", &settings(3, 3), end), None);
        }
    }

    #[test]
    fn several_instances_are_counted_together() {
        for (min_size, desired, instances, refuses) in [
            (2, 3, 2, true),
            (2, 3, 1, false),
            (0, 3, 3, false),
            (3, 2, 1, true),
        ] {
            let refusal = refusal_of_several("nvme", &settings(min_size, desired), instances);
            assert_eq!(refusal.is_some(), refuses, "{instances} of {desired}, {min_size}");
        }
    }

    #[test]
    fn a_refusal_names_the_sizes_and_the_ways_out() {
        let reason = refusal("nvme", &settings(3, 3), End::Shrinks).expect("refused");
        for part in [
            "group nvme",
            "MinSize 3",
            "DesiredCapacity 3",
            "\"replace\": true",
            "\"terminate\": false",
            "lower the minimum",
        ] {
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn a_suspended_process_is_told_where_it_matters() {
        let settings = GroupSettings {
            suspended: vec!["Launch".into(), "Terminate".into(), "AZRebalance".into()],
            ..settings(0, 3)
        };
        assert_eq!(suspended("nvme", &settings, End::Replaced).len(), 2);
        assert_eq!(suspended("nvme", &settings, End::Shrinks).len(), 1);
        assert!(suspended("nvme", &settings, End::Stays).is_empty());
    }
}
