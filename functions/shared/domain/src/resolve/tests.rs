//! What becomes of each trigger, by what AWS says of its instance.

use super::*;
use crate::trigger::{Named, News, Notice, Wishes};

/// Two groups, nothing out of the ordinary.
pub(crate) fn scope() -> Scope {
    Scope {
        groups: vec!["nvme".into(), "spot".into()],
        array_groups: Vec::new(),
        memory_caches: false,
        join_hook: "tidegate-node-join".into(),
        drain_hook: "tidegate-node-drain".into(),
        join_limit_seconds: 1_800,
        drain_limit_seconds: 3_600,
        announced_evict_limit_seconds: 43_200,
        drains_on_rebalance: true,
    }
}

fn instance() -> InstanceId {
    InstanceId::parse("i-0123456789abcdef0").expect("valid")
}

fn action(direction: Direction) -> Trigger {
    by_way(direction, Place::Unsaid, Place::Unsaid)
}

fn by_way(direction: Direction, origin: Place, destination: Place) -> Trigger {
    Trigger::LifecycleAction(LifecycleAction {
        instance: instance(),
        group: "nvme".into(),
        hook: scope().hook(direction).into(),
        transition: direction.transition().into(),
        origin,
        destination,
    })
}

fn wishing(deadline_seconds: Option<u32>) -> Trigger {
    let wishes = Wishes {
        deadline_seconds,
        ..Wishes::default()
    };
    Trigger::ByHand(Named::Instance(instance()), wishes)
}

fn by_hand() -> Trigger {
    wishing(None)
}

fn notice(news: News, at: i64) -> Trigger {
    Trigger::Notice(Notice {
        instance: instance(),
        news,
        at: Some(Timestamp::from_second(at).expect("valid")),
        begins: None,
    })
}

fn ec2(state: &str, group: Option<&str>) -> Ec2Instance {
    Ec2Instance {
        state: state.into(),
        group: group.map(Into::into),
        zone: "us-west-2a".into(),
        instance_type: "m5d.4xlarge".into(),
        private_dns_name: None,
        private_address: None,
        ipv6_address: None,
    }
}

fn member(state: &str) -> Membership {
    Membership {
        group: "nvme".into(),
        zone: "us-west-2a".into(),
        instance_type: "m5d.4xlarge".into(),
        lifecycle_state: state.into(),
    }
}

fn hooks() -> Vec<GroupHook> {
    [Direction::Join, Direction::Drain]
        .map(|direction| GroupHook {
            name: scope().hook(direction).to_owned(),
            transition: direction.transition().to_owned(),
            heartbeat_seconds: 300,
            global_seconds: 30_000,
            default_result: "ABANDON".into(),
        })
        .to_vec()
}

fn resolved(direction: Direction, trigger: &Trigger, state: &str, disks: usize) -> Resolution {
    resolve(
        &scope(),
        Known {
            direction,
            trigger,
            instance: &instance(),
            membership: &member(state),
            disks: vec![Disk { size_gb: 300 }; disks],
            hooks: &hooks(),
            settings: Some(&GroupSettings {
                retains: true,
                desired_capacity: 3,
                ..GroupSettings::default()
            }),
            identity: Identity::default(),
            started_at: Timestamp::UNIX_EPOCH,
        },
    )
}

fn hook_of(resolution: Resolution) -> Option<String> {
    resolution
        .subject
        .and_then(|subject| subject.hook)
        .map(|hook| hook.name)
}

#[test]
fn a_launch_action_of_a_group_of_ours_is_resolved_with_its_hook() {
    let resolution = resolved(Direction::Join, &action(Direction::Join), "Pending:Wait", 2);
    assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
    assert_eq!(hook_of(resolution).as_deref(), Some("tidegate-node-join"));
}

#[test]
fn disks_of_a_group_that_makes_an_array_of_them_are_one() {
    let mut scope = scope();
    scope.array_groups.push("nvme".into());
    let trigger = by_hand();
    let membership = member("InService");
    let known = Known {
        direction: Direction::Join,
        trigger: &trigger,
        instance: &instance(),
        membership: &membership,
        disks: vec![Disk { size_gb: 300 }; 2],
        hooks: &[],
        settings: None,
        identity: Identity::default(),
        started_at: Timestamp::UNIX_EPOCH,
    };
    let subject = resolve(&scope, known).subject.expect("ours");
    assert!(subject.one_array);
    assert_eq!(subject.disks, [Disk { size_gb: 600 }]);
    assert_eq!(subject.disk_layout.as_str(), "1x600g");
}

#[test]
fn a_node_whose_cache_is_in_memory_is_drained_and_joins_by_itself() {
    let mut scope = scope();
    scope.memory_caches = true;
    let of = |direction, disks| {
        let known = Known {
            direction,
            trigger: &action(direction),
            instance: &instance(),
            membership: &member("InService"),
            disks: vec![Disk { size_gb: 300 }; disks],
            hooks: &hooks(),
            settings: Some(&GroupSettings {
                retains: true,
                desired_capacity: 3,
                ..GroupSettings::default()
            }),
            identity: Identity::default(),
            started_at: Timestamp::UNIX_EPOCH,
        };
        let resolution = resolve(&scope, known);
        let layout = resolution.subject.map(|subject| subject.disk_layout);
        (resolution.outcome, layout.expect("ours").to_string())
    };
    let memory = || "memory".to_owned();
    assert_eq!(of(Direction::Drain, 0), (ResolveOutcome::Resolved, memory()));
    assert_eq!(of(Direction::Join, 0), (ResolveOutcome::Ignored, memory()));
    assert_eq!(
        of(Direction::Join, 2),
        (ResolveOutcome::Resolved, "2x300g".to_owned())
    );
}

#[test]
fn ec2_is_asked_of_all_but_launched_instances() {
    for (state, asked) in [
        ("Pending", false),
        ("Pending:Wait", false),
        ("Warmed:Pending:Wait", false),
        ("InService", true),
    ] {
        assert_eq!(asks_ec2(Direction::Join, Some(&member(state))), asked, "{state}");
        assert!(asks_ec2(Direction::Drain, Some(&member(state))), "{state}");
    }
    assert!(asks_ec2(Direction::Join, None));
}

#[test]
fn what_ec2_tells_comes_with_the_node() {
    let told = Ec2Instance {
        private_dns_name: Some("ip-10-0-0-7.us-west-2.compute.internal".into()),
        private_address: Some("10.0.0.7".into()),
        ..ec2("running", Some("nvme"))
    };
    let trigger = by_hand();
    let known = Known {
        direction: Direction::Drain,
        trigger: &trigger,
        instance: &instance(),
        membership: &member("InService"),
        disks: vec![Disk { size_gb: 300 }; 2],
        hooks: &[],
        settings: None,
        identity: Identity::from(&told),
        started_at: Timestamp::UNIX_EPOCH,
    };
    let subject = resolve(&scope(), known).subject.expect("ours");
    let node = serde_json::to_value(&subject).expect("JSON");
    assert_eq!(node["nodeName"], "ip-10-0-0-7.us-west-2.compute.internal");
    assert_eq!(node["privateAddress"], "10.0.0.7");
    assert_eq!(node["instanceState"], "running");
    assert_eq!(node.get("nodeUid"), None);
}

#[test]
fn an_instance_of_no_group_of_ours_is_a_stranger_and_the_reason_says_what_it_is() {
    let elsewhere = Membership {
        group: "other".into(),
        ..member("InService")
    };
    let stranger = |membership, ec2| {
        scope()
            .standing(Direction::Drain, &instance(), membership, ec2)
            .expect_err("a stranger")
    };
    assert!(stranger(Some(elsewhere), None).contains("group other"));
    assert!(stranger(None, Some(ec2("terminated", None))).contains("terminated"));
    assert!(stranger(None, Some(ec2("terminated", Some("other")))).contains("terminated"));
    assert!(stranger(None, None).contains("unknown"));
}

#[test]
fn an_instance_that_its_group_has_forgotten_is_still_ours_to_drain_while_ec2_knows_it() {
    let standing = |direction, state| {
        let ec2 = Some(ec2(state, Some("nvme")));
        scope().standing(direction, &instance(), None, ec2)
    };
    assert_eq!(standing(Direction::Drain, "terminated"), Ok(member(ENDED)));
    assert_eq!(standing(Direction::Drain, "shutting-down"), Ok(member(ENDED)));
    assert!(standing(Direction::Drain, "running").is_err());
    assert!(standing(Direction::Join, "terminated").is_err());
    let member = Some(member("InService"));
    assert_eq!(
        scope()
            .standing(Direction::Join, &instance(), member.clone(), None)
            .ok(),
        member
    );
}

#[test]
fn an_instance_without_local_disks_is_ignored_but_its_hook_is_known_so_that_it_can_be_completed() {
    let resolution = resolved(Direction::Join, &action(Direction::Join), "Pending:Wait", 0);
    assert_eq!(resolution.outcome, ResolveOutcome::Ignored);
    assert!(hook_of(resolution).is_some());
}

#[test]
fn a_join_of_an_instance_that_leaves_is_superseded() {
    for state in [
        "Terminating",
        "Terminating:Wait",
        "Terminating:Retained",
        "Terminated",
        "Warmed:Terminating:Wait",
    ] {
        assert_eq!(
            resolved(Direction::Join, &by_hand(), state, 2).outcome,
            ResolveOutcome::Superseded
        );
    }
}

#[test]
fn by_hand_the_lifecycle_state_tells_whether_a_hook_waits() {
    let hook = |direction, state| hook_of(resolved(direction, &by_hand(), state, 2)).is_some();
    assert!(hook(Direction::Join, "Pending:Wait"));
    assert!(!hook(Direction::Join, "InService"));
    assert!(hook(Direction::Drain, "Terminating:Wait"));
    assert!(!hook(Direction::Drain, "InService"));
    assert!(!hook(Direction::Drain, "Terminating:Retained"));
}

#[test]
fn a_plan_leaves_the_hook_that_waits_alone() {
    let wishes = Wishes {
        plan: true,
        ..Wishes::default()
    };
    let plan = Trigger::ByHand(Named::Instance(instance()), wishes);
    for (direction, state) in [
        (Direction::Join, "Pending:Wait"),
        (Direction::Drain, "Terminating:Wait"),
    ] {
        let resolution = resolved(direction, &plan, state, 2);
        assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
        assert_eq!(hook_of(resolution), None);
    }
}

#[test]
fn an_event_is_believed_where_the_listing_lags_behind_it() {
    let drain = action(Direction::Drain);
    assert!(hook_of(resolved(Direction::Drain, &drain, "InService", 2)).is_some());
    assert!(hook_of(resolved(Direction::Drain, &drain, "Terminating:Retained", 2)).is_none());
    let join = action(Direction::Join);
    assert!(hook_of(resolved(Direction::Join, &join, "Pending", 2)).is_some());
    assert!(hook_of(resolved(Direction::Join, &join, "InService", 2)).is_none());
}

#[test]
fn a_deadline_by_hand_replaces_the_limit() {
    let by_hand = resolved(Direction::Drain, &wishing(Some(60)), "InService", 2);
    assert_eq!(by_hand.deadline, Timestamp::from_second(60).expect("valid"));
    let default = resolved(Direction::Drain, &self::by_hand(), "InService", 2);
    assert_eq!(default.deadline, Timestamp::from_second(3_600).expect("valid"));
}

#[test]
fn an_announced_end_leaves_time_for_budgets() {
    let announced = |begins, hook_waits: bool| {
        let trigger = Trigger::Notice(Notice {
            instance: instance(),
            news: News::ScheduledChange("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED".into()),
            at: None,
            begins: Some(Timestamp::from_second(begins).expect("valid")),
        });
        let state = if hook_waits {
            "Terminating:Wait"
        } else {
            "InService"
        };
        let resolution = resolved(Direction::Drain, &trigger, state, 2);
        resolution.deadline.as_second()
    };
    assert_eq!(announced(14 * 86_400, false), 3_600 + 43_200);
    assert_eq!(announced(7_200, false), 7_200, "not beyond that day");
    assert_eq!(announced(14 * 86_400, true), 3_600, "a hook waits");
    let longest = Scope {
        announced_evict_limit_seconds: u32::MAX,
        ..scope()
    };
    let trigger = Trigger::Notice(Notice {
        instance: instance(),
        news: News::ScheduledChange("X".into()),
        at: None,
        begins: Some(Timestamp::MAX),
    });
    let limit = longest.limit_for(Direction::Drain, &trigger, Timestamp::UNIX_EPOCH);
    assert_eq!(limit, LONGEST_SECONDS);
}

#[test]
fn a_spot_warning_shortens_the_time_from_its_own_time_on_and_never_to_before_the_start() {
    let seconds = |at| {
        let resolution = resolved(
            Direction::Drain,
            &notice(News::SpotInterruption, at),
            "InService",
            2,
        );
        resolution.deadline.as_second()
    };
    assert_eq!(seconds(0), 120);
    assert_eq!(seconds(-50), 70);
    assert_eq!(seconds(-500), 0);
}

#[test]
fn news_of_an_instance_whose_hook_waits_complete_it() {
    let stops = notice(News::StateChange("stopping".into()), 0);
    assert!(hook_of(resolved(Direction::Drain, &stops, "Terminating:Wait", 2)).is_some());
    assert!(hook_of(resolved(Direction::Drain, &stops, "InService", 2)).is_none());
    assert!(hook_of(resolved(Direction::Drain, &stops, ENDED, 2)).is_none());
}

/// Plays each case of a warm pool: the trigger, the lifecycle state of its instance, the outcome, and whether a hook of
/// ours waits.
fn expect_of_pool<const N: usize>(direction: Direction, cases: [(Trigger, &str, ResolveOutcome, bool); N]) {
    for (trigger, state, outcome, waits) in cases {
        let resolution = resolved(direction, &trigger, state, 2);
        assert_eq!(resolution.outcome, outcome, "{trigger:?}, {state}");
        assert_eq!(hook_of(resolution).is_some(), waits, "{trigger:?}, {state}");
    }
}

#[test]
fn a_warm_pool_is_entered_without_a_join_and_left_for_the_group_with_one() {
    use Direction::Join;
    use Place::{Ec2, Group, WarmPool};
    use ResolveOutcome::{Ignored, Resolved, Superseded};
    let entering = || by_way(Join, Ec2, WarmPool);
    let leaving = || by_way(Join, WarmPool, Group);
    expect_of_pool(
        Join,
        [
            (entering(), "Warmed:Pending:Wait", Ignored, true),
            (entering(), "Warmed:Pending", Ignored, true),
            (entering(), "Warmed:Stopped", Ignored, false),
            (entering(), "Pending:Wait", Ignored, false),
            (entering(), "InService", Ignored, false),
            (
                by_way(Join, Group, WarmPool),
                "Warmed:Pending:Wait",
                Ignored,
                true,
            ),
            (leaving(), "Pending:Wait", Resolved, true),
            (leaving(), "Warmed:Stopped", Resolved, true),
            (leaving(), "InService", Resolved, false),
            (leaving(), "Terminating:Wait", Superseded, false),
            (by_way(Join, Ec2, Group), "Pending:Wait", Resolved, true),
            (action(Join), "Warmed:Pending:Wait", Ignored, true),
            (by_hand(), "Warmed:Pending:Wait", Ignored, true),
            (by_hand(), "Warmed:Running", Ignored, false),
        ],
    );
}

#[test]
fn a_node_that_returns_to_a_warm_pool_or_ends_in_it_is_drained() {
    use Direction::Drain;
    use Place::{Ec2, Group, WarmPool};
    use ResolveOutcome::Resolved;
    let returning = || by_way(Drain, Group, WarmPool);
    let ending = || by_way(Drain, WarmPool, Ec2);
    expect_of_pool(
        Drain,
        [
            (returning(), "Terminating:Wait", Resolved, true),
            (returning(), "InService", Resolved, true),
            (returning(), "Warmed:Pending:Wait", Resolved, true),
            (returning(), "Warmed:Stopped", Resolved, false),
            (returning(), "Warmed:Pending:Retained", Resolved, false),
            (ending(), "Warmed:Terminating:Wait", Resolved, true),
            (ending(), "Warmed:Terminating:Proceed", Resolved, false),
            (by_hand(), "Warmed:Terminating:Wait", Resolved, true),
            (by_hand(), "Warmed:Pending:Wait", Resolved, true),
            (by_hand(), "Warmed:Running", Resolved, false),
        ],
    );
}

fn at_minimum(trigger: &Trigger, state: &str) -> Resolution {
    with_settings(
        trigger,
        state,
        &GroupSettings {
            min_size: 3,
            desired_capacity: 3,
            ..GroupSettings::default()
        },
    )
}

fn with_settings(trigger: &Trigger, state: &str, settings: &GroupSettings) -> Resolution {
    let known = Known {
        direction: Direction::Drain,
        trigger,
        instance: &instance(),
        membership: &member(state),
        disks: vec![Disk { size_gb: 300 }; 2],
        hooks: &hooks(),
        settings: Some(settings),
        identity: Identity::default(),
        started_at: Timestamp::UNIX_EPOCH,
    };
    resolve(&scope(), known)
}

fn with_wishes(wishes: Wishes) -> Trigger {
    Trigger::ByHand(Named::Instance(instance()), wishes)
}

#[test]
fn a_drain_that_its_group_would_refuse_is_refused() {
    let resolution = at_minimum(&by_hand(), "InService");
    assert_eq!(resolution.outcome, ResolveOutcome::Refused);
    assert!(resolution.reason.contains("MinSize 3"), "{}", resolution.reason);
}

#[test]
fn an_event_about_several_ends_none_of_them() {
    let event = Wishes {
        from_event: true,
        ..Wishes::default()
    };
    let resolution = at_minimum(&with_wishes(event.clone()), "InService");
    assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
    assert!(!with_wishes(event).by_hand());
}

#[test]
fn an_instance_leaving_meanwhile_is_not_refused() {
    let settings = GroupSettings {
        leaving: vec![instance()],
        ..GroupSettings::default()
    };
    let resolution = with_settings(&by_hand(), "InService", &settings);
    assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
}

#[test]
fn a_plan_says_what_the_group_would_refuse() {
    let plan = Wishes {
        plan: true,
        ..Wishes::default()
    };
    let resolution = at_minimum(&with_wishes(plan), "InService");
    assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
    assert!(resolution.in_the_way[0].contains("MinSize 3"));
}

#[test]
fn a_group_at_its_minimum_loses_what_it_need_not_give() {
    let replaced = Wishes {
        replace: true,
        ..Wishes::default()
    };
    let kept = Wishes {
        terminate: Some(false),
        ..Wishes::default()
    };
    let taken_back = Wishes {
        reclaimed: true,
        ..Wishes::default()
    };
    for (trigger, state) in [
        (by_hand(), "Terminating:Wait"),
        (by_hand(), "Terminating:Proceed"),
        (by_hand(), "Terminating:Retained"),
        (with_wishes(replaced), "InService"),
        (with_wishes(kept), "InService"),
        (with_wishes(taken_back), "InService"),
        (notice(News::RebalanceRecommendation, 0), "InService"),
        (action(Direction::Drain), "Terminating:Wait"),
    ] {
        let resolution = at_minimum(&trigger, state);
        assert_eq!(
            resolution.outcome,
            ResolveOutcome::Resolved,
            "{trigger:?} {state}"
        );
        assert!(resolution.in_the_way.is_empty(), "{trigger:?} {state}");
    }
}

#[test]
fn a_node_without_disks_is_looked_at_before_its_end() {
    let resolution = resolved(Direction::Drain, &action(Direction::Drain), "Terminating:Wait", 0);
    assert_eq!(resolution.outcome, ResolveOutcome::Resolved);
    let reason = resolution.look_for_worker.expect("a look");
    assert!(reason.contains("no NVMe instance store"), "{reason}");
    let ended = resolved(Direction::Drain, &by_hand(), ENDED, 0);
    assert_eq!(ended.outcome, ResolveOutcome::Ignored);
    let cached = resolved(Direction::Drain, &by_hand(), "InService", 2);
    assert_eq!(cached.look_for_worker, None);
}

#[test]
fn a_recommendation_is_left_to_a_group_that_rebalances() {
    let advice = notice(News::RebalanceRecommendation, 0);
    let member = |state: &str| Membership {
        group: "nvme".into(),
        zone: "us-west-2a".into(),
        instance_type: "m5d.4xlarge".into(),
        lifecycle_state: state.into(),
    };
    let settings = GroupSettings {
        rebalances: true,
        ..GroupSettings::default()
    };
    let rebalances = Some(&settings);
    let reason = not_advised(&advice, &member("InService"), rebalances).expect("left to the group");
    assert!(reason.contains("CapacityRebalance"), "{reason}");
    assert_eq!(not_advised(&advice, &member("InService"), None), None);
    for young in ["Pending", "Pending:Wait", "Pending:Proceed", "Warmed:Running"] {
        let reason = not_advised(&advice, &member(young), None).expect("it still joins");
        assert!(reason.contains(young), "{reason}");
    }
    let warning = notice(News::SpotInterruption, 0);
    assert_eq!(not_advised(&warning, &member("Pending:Wait"), rebalances), None);
}
