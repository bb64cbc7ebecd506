//! Why an execution was started, and whether that is any concern of it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::resolve::{Direction, Scope};
use crate::subject::InstanceId;

/// Seconds from an interruption warning to the interruption, of Spot instances and of interruptible capacity
/// reservations.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html>
const WARNED_SECONDS: i64 = 120;

/// Where an instance comes from or goes to (`Origin` and `Destination` of a lifecycle action).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// EC2: it is new, or ends.
    Ec2,
    /// The group itself.
    Group,
    /// The warm pool of the group.
    WarmPool,
    /// The action does not say.
    #[default]
    Unsaid,
}

impl Place {
    /// The place, from Auto Scaling's word for it.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "EC2" => Self::Ec2,
            "AutoScalingGroup" => Self::Group,
            "WarmPool" => Self::WarmPool,
            _ => Self::Unsaid,
        }
    }
}

/// A lifecycle action of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleAction {
    /// The instance that waits.
    pub instance: InstanceId,
    /// Its group.
    pub group: String,
    /// The hook that waits.
    pub hook: String,
    /// The transition, as Auto Scaling spells it.
    pub transition: String,
    /// Where the instance comes from.
    pub origin: Place,
    /// Where it goes to.
    pub destination: Place,
}

/// What AWS tells of an instance beside its hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// EC2 takes a Spot instance back in two minutes.
    SpotInterruption,
    /// EC2 takes back the capacity reservation or capacity block that the instance runs in, at an instant that the
    /// warning names.
    CapacityInterruption,
    /// A Spot instance is at a higher risk to be taken back.
    RebalanceRecommendation,
    /// The instance is in another state, such as `shutting-down`.
    StateChange(String),
    /// AWS will retire, stop or reboot the instance: the type code of the Health event.
    ScheduledChange(String),
    /// Instance-store drives of the instance are slow or do not answer: the type code of the Health event.
    DegradedStore(String),
}

/// News of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The instance.
    pub instance: InstanceId,
    /// What is new.
    pub news: News,
    /// The time of the event itself, however late it came.
    pub at: Option<Timestamp>,
    /// When the change that the event announces begins, where the event says so.
    pub begins: Option<Timestamp>,
}

/// The instance or node that a person names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By the instance.
    Instance(InstanceId),
    /// By the node.
    Node(String),
}

/// What a person wishes beside the node, or an execution that was started for several.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch that may be typed by itself"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How long the execution may take.
    pub deadline_seconds: Option<u32>,
    /// Whether an instance in service is ended after its drain. The state machine reads it itself.
    pub terminate: Option<bool>,
    /// Whether the group replaces an instance that is ended after its drain.
    pub replace: bool,
    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    pub reclaimed: bool,
    /// Whether nothing is to be changed, and only said what would be done. The state machine reads it itself.
    pub plan: bool,
    /// Whether a drain waits until its group can spare the instance.
    pub in_turn: bool,
    /// When AWS acts on the instance, whether it is drained or not.
    pub before: Option<Timestamp>,
    /// Whether an event is the reason, and nobody asked for it: the execution was started for one of several instances.
    pub from_event: bool,
}

/// Why an execution was started: one reason, about one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A lifecycle action of a group.
    LifecycleAction(LifecycleAction),
    /// News of an instance.
    Notice(Notice),
    /// A person, or another program, by `start-execution`.
    ByHand(Named, Wishes),
    /// Something that is no concern of any state machine, and why.
    NotOurs(String),
}

impl Trigger {
    /// The instance, where the trigger names it.
    #[must_use]
    pub const fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::LifecycleAction(LifecycleAction { instance, .. })
            | Self::Notice(Notice { instance, .. })
            | Self::ByHand(Named::Instance(instance), _) => Some(instance),
            Self::ByHand(Named::Node(_), _) | Self::NotOurs(_) => None,
        }
    }

    /// The name of the node, where the trigger knows only that.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        match self {
            Self::ByHand(Named::Node(name), _) => Some(name),
            _ => None,
        }
    }

    /// Whether a person, or another program, started the execution.
    #[must_use]
    pub const fn by_hand(&self) -> bool {
        matches!(
            self,
            Self::ByHand(
                _,
                Wishes {
                    from_event: false,
                    ..
                }
            )
        )
    }

    /// What a person wishes; nothing where an event started the execution.
    #[must_use]
    pub fn wishes(&self) -> Wishes {
        match self {
            Self::ByHand(_, wishes) => wishes.clone(),
            _ => Wishes::default(),
        }
    }

    /// When the execution must have decided, where the event says so. An interruption warning counts from the event's
    /// own time, not from its arrival; one without a time is as old as the execution.
    #[must_use]
    pub fn deadline(&self, started_at: Timestamp) -> Option<Timestamp> {
        // A day that has passed, or is not named, sets no limit: what was announced has not happened yet.
        let ahead = |instant: &Timestamp| *instant > started_at;
        let notice = match self {
            Self::Notice(notice) => notice,
            Self::ByHand(_, wishes) => return wishes.before.filter(ahead),
            Self::LifecycleAction(_) | Self::NotOurs(_) => return None,
        };
        let warned = || {
            let at = notice.at.unwrap_or(started_at);
            at.checked_add(SignedDuration::from_secs(WARNED_SECONDS)).ok()
        };
        match notice.news {
            News::SpotInterruption => warned(),
            News::CapacityInterruption => notice.begins.or_else(warned),
            News::ScheduledChange(_) => notice.begins.filter(ahead),
            News::RebalanceRecommendation | News::DegradedStore(_) | News::StateChange(_) => None,
        }
    }

    /// Whether the drain can wait until its group can spare the instance: AWS leaves weeks, or names no day at all.
    /// What waits for nobody (a hook, an interruption, an instance that ends) is drained at once.
    #[must_use]
    pub const fn in_turn(&self) -> bool {
        match self {
            Self::Notice(Notice { news, .. }) => matches!(
                news,
                News::RebalanceRecommendation | News::ScheduledChange(_) | News::DegradedStore(_)
            ),
            Self::ByHand(_, wishes) => wishes.in_turn && !wishes.plan,
            Self::LifecycleAction(_) | Self::NotOurs(_) => false,
        }
    }

    /// When AWS acts on an instance whose drain can wait; a day that has passed leaves no time to wait.
    #[must_use]
    pub const fn before(&self) -> Option<Timestamp> {
        match self {
            Self::Notice(Notice {
                news: News::ScheduledChange(_),
                begins,
                ..
            }) => *begins,
            Self::ByHand(_, wishes) => wishes.before,
            _ => None,
        }
    }

    /// The time of the event, where the trigger is one that has a time.
    #[must_use]
    pub const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Notice(notice) => notice.at,
            _ => None,
        }
    }

    /// Whether it is an advice that the instance may be interrupted, and nothing is decided.
    #[must_use]
    pub const fn advises(&self) -> bool {
        matches!(
            self,
            Self::Notice(Notice {
                news: News::RebalanceRecommendation,
                ..
            })
        )
    }

    /// Whether the drained instance is to be ended, and replaced by its group: nobody else will end one that was only
    /// drained in time, and drained it is of no use. The group of an interrupted or ended instance replaces it anyway.
    #[must_use]
    pub const fn replaces(&self) -> bool {
        match self {
            Self::Notice(Notice { news, .. }) => {
                matches!(
                    news,
                    News::RebalanceRecommendation | News::ScheduledChange(_) | News::DegradedStore(_)
                )
            }
            Self::ByHand(_, wishes) => wishes.replace,
            Self::LifecycleAction(_) | Self::NotOurs(_) => false,
        }
    }

    /// Whether EC2 takes the instance away at the deadline, whatever it is told.
    #[must_use]
    pub const fn reclaimed(&self) -> bool {
        match self {
            Self::Notice(Notice { news, .. }) => {
                matches!(news, News::SpotInterruption | News::CapacityInterruption)
            }
            Self::ByHand(_, wishes) => wishes.reclaimed,
            Self::LifecycleAction(_) | Self::NotOurs(_) => false,
        }
    }

    /// Which of two triggers of one instance says more: the one that brings a hook, then the earlier deadline.
    pub(crate) fn weight(&self, started_at: Timestamp) -> (bool, Timestamp) {
        let deadline = self.deadline(started_at).unwrap_or(Timestamp::MAX);
        (!matches!(self, Self::LifecycleAction(_)), deadline)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LifecycleAction(action) => write!(formatter, "lifecycle action {}", action.transition),
            Self::Notice(notice) => match &notice.news {
                News::SpotInterruption => formatter.write_str("Spot interruption warning"),
                News::CapacityInterruption => {
                    formatter.write_str("capacity reservation interruption warning")
                }
                News::RebalanceRecommendation => formatter.write_str("rebalance recommendation"),
                News::StateChange(state) => write!(formatter, "instance state change to {state}"),
                News::ScheduledChange(code) => write!(formatter, "scheduled change {code}"),
                News::DegradedStore(code) => write!(formatter, "degraded instance store {code}"),
            },
            Self::ByHand(_, wishes) if wishes.from_event => {
                formatter.write_str("event about several instances")
            }
            Self::ByHand(..) => formatter.write_str("start by hand"),
            Self::NotOurs(reason) => formatter.write_str(reason),
        }
    }
}

impl Scope {
    /// Why a trigger is no concern of ours, as far as the trigger alone tells; no call is spent on it.
    #[must_use]
    pub fn foreign(&self, direction: Direction, trigger: &Trigger) -> Option<String> {
        match trigger {
            Trigger::LifecycleAction(action) => self.foreign_action(direction, action),
            Trigger::Notice(notice) => self.foreign_notice(direction, notice, trigger),
            Trigger::ByHand(..) => None,
            Trigger::NotOurs(reason) => Some(reason.clone()),
        }
    }

    fn foreign_action(&self, direction: Direction, action: &LifecycleAction) -> Option<String> {
        let LifecycleAction {
            group,
            hook,
            transition,
            ..
        } = action;
        if !self.groups.contains(group) {
            Some(format!(
                "group {group} is none of this cluster's groups ({})",
                self.groups.join(", ")
            ))
        } else if transition != direction.transition() {
            Some(format!(
                "the event is about {transition}, this state machine about {}",
                direction.transition()
            ))
        } else if hook != self.hook(direction) {
            Some(format!("hook {hook} is not ours ({})", self.hook(direction)))
        } else {
            None
        }
    }

    fn foreign_notice(&self, direction: Direction, notice: &Notice, trigger: &Trigger) -> Option<String> {
        let instance = &notice.instance;
        match &notice.news {
            _ if direction == Direction::Join => Some(format!(
                "a {trigger} ({instance}) drains a node, and this state machine is for nodes that join"
            )),
            News::RebalanceRecommendation if !self.drains_on_rebalance => Some(format!(
                "rebalance recommendations drain no node here (DRAIN_ON_REBALANCE is false), so {instance} stays"
            )),
            // What EC2 says before and after an instance is of use.
            News::StateChange(state)
                if !matches!(state.as_str(), "stopping" | "shutting-down" | "terminated") =>
            {
                Some(format!("instance {instance} is {state}, which drains nothing"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::scope;

    fn instance(last: u32) -> InstanceId {
        InstanceId::parse(&format!("i-{last:08x}")).expect("valid")
    }

    fn action(group: &str, hook: &str, direction: Direction) -> Trigger {
        Trigger::LifecycleAction(LifecycleAction {
            instance: instance(1),
            group: group.into(),
            hook: hook.into(),
            transition: direction.transition().into(),
            origin: Place::Unsaid,
            destination: Place::Unsaid,
        })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("valid")
    }

    fn notice(last: u32, news: News, at: Option<Timestamp>, begins: Option<Timestamp>) -> Trigger {
        Trigger::Notice(Notice {
            instance: instance(last),
            news,
            at,
            begins,
        })
    }

    fn state_change(state: &str) -> Trigger {
        notice(1, News::StateChange(state.into()), None, None)
    }

    fn by_hand(named: Named) -> Trigger {
        Trigger::ByHand(named, Wishes::default())
    }

    #[test]
    fn an_action_of_another_group_hook_or_transition_is_foreign_before_any_call() {
        let scope = scope();
        let foreign = |trigger| scope.foreign(Direction::Join, &trigger);
        for (trigger, named) in [
            (action("other", "tidegate-node-join", Direction::Join), "other"),
            (
                action("nvme", "Launch-LC-Hook", Direction::Join),
                "Launch-LC-Hook",
            ),
            (
                action("nvme", "tidegate-node-drain", Direction::Drain),
                "autoscaling:EC2_INSTANCE_TERMINATING",
            ),
        ] {
            let reason = foreign(trigger).expect("foreign");
            assert!(reason.contains(named), "{reason}");
        }
        assert_eq!(
            foreign(action("nvme", "tidegate-node-join", Direction::Join)),
            None
        );
    }

    #[test]
    fn news_of_an_instance_drain_a_node_and_never_join_one() {
        for news in [
            News::SpotInterruption,
            News::RebalanceRecommendation,
            News::StateChange("shutting-down".into()),
            News::CapacityInterruption,
            News::ScheduledChange("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED".into()),
            News::DegradedStore("AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED".into()),
        ] {
            let trigger = notice(1, news, None, None);
            assert_eq!(scope().foreign(Direction::Drain, &trigger), None, "{trigger}");
            let reason = scope().foreign(Direction::Join, &trigger).expect("foreign");
            assert!(reason.contains("i-00000001"), "{reason}");
        }
    }

    #[test]
    fn only_an_instance_that_stops_or_ends_is_drained() {
        for (state, drains) in [
            ("pending", false),
            ("running", false),
            ("stopping", true),
            ("stopped", false),
            ("shutting-down", true),
            ("terminated", true),
            ("", false),
        ] {
            let reason = scope().foreign(Direction::Drain, &state_change(state));
            assert_eq!(reason.is_none(), drains, "{state}: {reason:?}");
        }
    }

    #[test]
    fn a_rebalance_recommendation_drains_only_where_that_is_configured() {
        let trigger = notice(1, News::RebalanceRecommendation, None, None);
        let mut scope = scope();
        assert_eq!(scope.foreign(Direction::Drain, &trigger), None);
        scope.drains_on_rebalance = false;
        let reason = scope.foreign(Direction::Drain, &trigger).expect("foreign");
        assert!(reason.contains("DRAIN_ON_REBALANCE"), "{reason}");
    }

    #[test]
    fn a_spot_warning_ends_two_minutes_after_the_event_however_late_it_comes() {
        let warning = |time| notice(1, News::SpotInterruption, time, None);
        assert_eq!(warning(Some(at(0))).deadline(at(3)), Some(at(120)));
        assert_eq!(warning(Some(at(0))).deadline(at(300)), Some(at(120)));
        assert_eq!(warning(None).deadline(at(7)), Some(at(127)));
        assert_eq!(warning(Some(Timestamp::MAX)).deadline(at(0)), None);
    }

    #[test]
    fn a_capacity_warning_ends_at_its_own_instant() {
        let warning = |ends| notice(1, News::CapacityInterruption, Some(at(0)), ends);
        assert_eq!(warning(Some(at(1_800))).deadline(at(3)), Some(at(1_800)));
        assert_eq!(
            warning(Some(at(1))).deadline(at(3)),
            Some(at(1)),
            "late, and never beyond"
        );
        assert_eq!(warning(None).deadline(at(3)), Some(at(120)));
    }

    #[test]
    fn what_nobody_hurries_waits_for_its_turn() {
        for (trigger, waits) in [
            (notice(1, News::RebalanceRecommendation, None, None), true),
            (
                notice(1, News::ScheduledChange("X".into()), None, Some(at(9))),
                true,
            ),
            (notice(1, News::DegradedStore("X".into()), None, None), true),
            (notice(1, News::SpotInterruption, None, None), false),
            (notice(1, News::CapacityInterruption, None, None), false),
            (state_change("stopping"), false),
            (action("nvme", "tidegate-node-drain", Direction::Drain), false),
            (by_hand(Named::Instance(instance(1))), false),
        ] {
            assert_eq!(trigger.in_turn(), waits, "{trigger}");
        }
        let wishes = |plan| Wishes {
            in_turn: true,
            plan,
            before: Some(at(9)),
            ..Wishes::default()
        };
        let typed = |plan| Trigger::ByHand(Named::Instance(instance(1)), wishes(plan));
        assert!(typed(false).in_turn());
        assert!(!typed(true).in_turn(), "a plan waits for nothing");
        assert_eq!(typed(false).deadline(at(0)), Some(at(9)));
        assert_eq!(typed(false).deadline(at(9)), None);
    }

    #[test]
    fn a_scheduled_change_sets_a_deadline_while_it_lies_ahead() {
        let change = |begins| notice(1, News::ScheduledChange("X".into()), Some(at(0)), begins);
        assert_eq!(change(Some(at(900))).deadline(at(10)), Some(at(900)));
        assert_eq!(change(Some(at(5))).deadline(at(10)), None);
        assert_eq!(change(None).deadline(at(10)), None);
    }

    #[test]
    fn other_triggers_set_no_deadline() {
        for trigger in [
            state_change("stopping"),
            notice(1, News::RebalanceRecommendation, Some(at(0)), None),
            action("nvme", "tidegate-node-drain", Direction::Drain),
            by_hand(Named::Instance(instance(1))),
            Trigger::NotOurs("x".into()),
        ] {
            assert_eq!(trigger.deadline(at(0)), None, "{trigger}");
        }
    }

    #[test]
    fn only_an_interrupted_instance_is_taken_away_at_its_deadline() {
        assert!(notice(1, News::SpotInterruption, None, None).reclaimed());
        assert!(notice(1, News::CapacityInterruption, None, None).reclaimed());
        assert!(!notice(1, News::RebalanceRecommendation, None, None).reclaimed());
        assert!(!action("nvme", "tidegate-node-drain", Direction::Drain).reclaimed());
        let wishes = Wishes {
            reclaimed: true,
            ..Wishes::default()
        };
        assert!(Trigger::ByHand(Named::Instance(instance(1)), wishes).reclaimed());
    }

    #[test]
    fn an_instance_that_nobody_else_would_end_is_replaced() {
        let replaces = |news| notice(1, news, None, None).replaces();
        assert!(replaces(News::RebalanceRecommendation));
        assert!(replaces(News::ScheduledChange("X".into())));
        assert!(replaces(News::DegradedStore("X".into())));
        assert!(!replaces(News::SpotInterruption));
        assert!(!replaces(News::CapacityInterruption));
        assert!(!replaces(News::StateChange("stopping".into())));
        assert!(!action("nvme", "tidegate-node-drain", Direction::Drain).replaces());
        let wishes = Wishes {
            replace: true,
            ..Wishes::default()
        };
        assert!(Trigger::ByHand(Named::Instance(instance(1)), wishes).replaces());
        assert!(!by_hand(Named::Instance(instance(1))).replaces());
    }
}
