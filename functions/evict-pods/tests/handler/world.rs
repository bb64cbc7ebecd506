//! A node with pods on it, whose API server answers each eviction as the pod's guard has it. Time passes only while
//! something is waited for.

use std::cell::RefCell;
use std::time::Duration;

use evict_pods::EvictPods;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::error::Result;
use tidegate_domain::evict::Patience;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange, Pod};
use tidegate_domain::plan::EvictionTrial;
use tidegate_domain::ports::{Changed, Clock, Deletion, Eviction, Nodes, Pods, Refusal, RefusedBy};
use tidegate_domain::subject::Subject;
use tidegate_lambda::Serve;

/// When each drain begins.
const START: i64 = 1_800_000_000;
/// A function's time-out, in seconds.
const MOST_CALL_SECONDS: i64 = 30;
/// How long the adapter waits for an answer.
const NO_ANSWER: Duration = Duration::from_secs(6);
/// How long pods are waited for after the deadline, in seconds.
const AFTER_DEADLINE: i64 = 120;

/// What stands between a pod and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing.
    #[default]
    None,
    /// A disruption budget that never lets it go.
    Budget,
    /// Its evictions are refused.
    NoEviction(RefusedBy),
    /// Its evictions are refused, and its deletions too.
    NoEnd(RefusedBy),
}

/// A pod and what its owner and the API server do about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guarded {
    pub(crate) pod: Pod,
    pub(crate) guard: Guard,
    /// Whether its owner makes another when it is evicted, which comes to this node again.
    pub(crate) returns: bool,
}

/// A pod of that name that ends in a second.
pub(crate) fn pod(name: &str) -> Guarded {
    Guarded {
        pod: Pod {
            namespace: "default".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            controller_kind: Some("ReplicaSet".into()),
            created: Some(second(-1_000)),
            grace_period_seconds: 1,
            ..Pod::default()
        },
        ..Guarded::default()
    }
}

pub(crate) fn guarded(name: &str, guard: Guard) -> Guarded {
    Guarded { guard, ..pod(name) }
}

/// An instant, in seconds since the drain began.
pub(crate) fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).expect("valid")
}

struct State {
    millis: i64,
    node: Node,
    pods: Vec<Guarded>,
    evictions: Vec<(String, i64)>,
    deletions: Vec<(String, i64)>,
}

pub(crate) struct World(RefCell<State>);

/// How a drain is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    pub(crate) deadline: i64,
    pub(crate) reclaimed: bool,
    pub(crate) watch_seconds: u32,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            deadline: 3_600,
            reclaimed: false,
            watch_seconds: 20,
        }
    }
}

/// The parameters' defaults.
pub(crate) const PATIENCE: Patience = Patience {
    limit_seconds: 900,
    announced_limit_seconds: 43_200,
    drain_limit_seconds: 3_600,
};

impl World {
    pub(crate) fn with(pods: impl IntoIterator<Item = Guarded>) -> Self {
        let node = Node {
            name: "node-1".into(),
            ready: true,
            unschedulable: true,
            annotations: [(names::DRAIN_SINCE_ANNOTATION.to_owned(), second(0).to_string())].into(),
            ..Node::default()
        };
        Self(RefCell::new(State {
            millis: 0,
            node,
            pods: pods.into_iter().collect(),
            evictions: Vec::new(),
            deletions: Vec::new(),
        }))
    }

    /// Seconds since the drain began.
    pub(crate) fn age(&self) -> i64 {
        self.0.borrow().millis / 1_000
    }

    /// The names of the pods that are there.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.0.borrow();
        state
            .pods
            .iter()
            .map(|guarded| guarded.pod.name.clone())
            .collect()
    }

    /// When evictions of that pod, or of one of its owner, were accepted, in seconds since the drain began.
    pub(crate) fn evictions(&self, name: &str) -> Vec<i64> {
        let state = self.0.borrow();
        let of = |(evicted, at): &(String, i64)| evicted.starts_with(name).then_some(*at);
        state.evictions.iter().filter_map(of).collect()
    }

    /// When that pod was deleted past its budget; none where it was not.
    pub(crate) fn deleted_at(&self, name: &str) -> Option<i64> {
        let state = self.0.borrow();
        let found = state.deletions.iter().find(|(deleted, _)| deleted == name);
        found.map(|(_, at)| *at)
    }

    fn pass(&self, duration: Duration) {
        let mut state = self.0.borrow_mut();
        state.millis += i64::try_from(duration.as_millis()).expect("short");
        let now = Timestamp::from_millisecond(START * 1_000 + state.millis).expect("valid");
        state
            .pods
            .retain(|guarded| guarded.pod.deletion_time.is_none_or(|end| end > now));
    }

    fn end(&self, uid: &str) {
        let now = self.now();
        let mut state = self.0.borrow_mut();
        let Some(place) = state.pods.iter().position(|guarded| guarded.pod.uid == uid) else {
            return;
        };
        let ended = &mut state.pods[place];
        let grace = Duration::from_secs(ended.pod.grace_period_seconds.into());
        ended.pod.deletion_time = Some(now + grace);
        if ended.returns {
            let mut next = ended.clone();
            next.pod.name.push_str("-again");
            next.pod.uid.push_str("-again");
            next.pod.created = Some(now);
            next.pod.deletion_time = None;
            state.pods.push(next);
        }
    }

    /// The answer of one call.
    pub(crate) async fn call(&self, play: Play, progress: &Value) -> Value {
        let function = EvictPods {
            cluster: self,
            clock: self,
            watch_seconds: play.watch_seconds,
            patience: PATIENCE,
        };
        let began = self.age();
        let payload = json!({
            "execution": "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:mine",
            "startedAt": second(0),
            "deadline": second(play.deadline),
            "reclaimed": play.reclaimed,
            "progress": progress,
            "node": {
                "instanceId": "i-0123456789abcdef0", "autoScalingGroup": "nvme-nodes",
                "availabilityZone": "us-west-2a", "instanceType": "m5d.4xlarge", "lifecycleState": "InService",
                "disks": [{"sizeGb": 300}], "diskLayout": "1x300g", "hook": null, "retains": true,
            },
        });
        let answer = function.serve(payload).await.expect("an answer").answer;
        let took = self.age() - began;
        assert!(took <= MOST_CALL_SECONDS, "the call took {took} s");
        answer
    }

    /// The last answer of a whole drain, called again and again as the state machine does.
    pub(crate) async fn drain(&self, play: Play) -> Value {
        let mut progress = Value::Null;
        loop {
            let answer = self.call(play, &progress).await;
            if answer["outcome"] != "waiting" || self.age() >= play.deadline + AFTER_DEADLINE {
                return answer;
            }
            progress = answer["progress"].clone();
            let pause = answer["retryAfterSeconds"].as_u64().expect("when to call again");
            self.pass(Duration::from_secs(pause));
        }
    }
}

fn refusal(by: RefusedBy) -> Refusal {
    Refusal {
        by,
        words: format!("refused: {by:?}"),
    }
}

impl Nodes for &World {
    async fn find(&self, _: &Subject, _: Duration) -> Result<Option<Node>> {
        Ok(Some(self.0.borrow().node.clone()))
    }

    async fn change(&self, _: &Node, change: &NodeChange) -> Result<Changed> {
        self.0.borrow_mut().node.unschedulable |= change.cordon;
        Ok(Changed::Done)
    }
}

impl Pods for &World {
    async fn on_node(
        &self,
        _: &str,
        _: Option<(&str, &str)>,
        within: Duration,
        enough: &dyn Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>> {
        let mut left = within;
        loop {
            let state = self.0.borrow();
            let pods: Vec<_> = state.pods.iter().map(|guarded| guarded.pod.clone()).collect();
            drop(state);
            if left.is_zero() || enough(&pods) {
                return Ok(pods);
            }
            let step = left.min(Duration::from_millis(500));
            self.pass(step);
            left -= step;
        }
    }

    async fn evict(&self, pod: &Pod) -> Result<Eviction> {
        let found = self
            .0
            .borrow()
            .pods
            .iter()
            .find(|guarded| guarded.pod.uid == pod.uid)
            .cloned();
        let guard = found.map(|guarded| guarded.guard).unwrap_or_default();
        match guard {
            Guard::None => {
                let age = self.age();
                self.0.borrow_mut().evictions.push((pod.name.clone(), age));
                self.end(&pod.uid);
                Ok(Eviction::Accepted)
            }
            Guard::Budget => Ok(Eviction::Blocked("the budget needs 1 and has 1".into())),
            Guard::NoEviction(by) | Guard::NoEnd(by) => {
                if by == RefusedBy::Silence {
                    self.pass(NO_ANSWER);
                }
                Ok(Eviction::Refused(refusal(by)))
            }
        }
    }

    async fn delete(&self, pod: &Pod) -> Result<Deletion> {
        let found = self
            .0
            .borrow()
            .pods
            .iter()
            .find(|guarded| guarded.pod.uid == pod.uid)
            .cloned();
        if let Some(Guard::NoEnd(by)) = found.map(|guarded| guarded.guard) {
            return Ok(Deletion::Refused(refusal(by)));
        }
        let age = self.age();
        self.0.borrow_mut().deletions.push((pod.name.clone(), age));
        self.end(&pod.uid);
        Ok(Deletion::Accepted)
    }

    async fn worker_daemon_set_exists(&self, _: &str, _: &str) -> Result<bool> {
        unreachable!("evict-pods does not ask")
    }
}

impl EvictionTrial for &World {
    async fn try_evict(&self, _: &Pod) -> Result<Eviction> {
        unreachable!("no plan is played")
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(START * 1_000 + self.0.borrow().millis).expect("valid")
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}
