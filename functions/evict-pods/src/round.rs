//! What came of one round of evictions, and of those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_domain::evict::{Fate, Verdict, fate};
use tidegate_domain::node::{Node, PastCordon, Pod};
use tidegate_domain::ports::{Deletion, Eviction, RefusedBy};

use crate::{Facts, Progress};

/// Names in a list of an answer, which is carried on through an execution; all pods are counted.
const MOST_NAMED: usize = 20;
/// UIDs of pods that are carried from call to call.
const MOST_SLOW: usize = 100;
/// How far into a call an answer may be waited for that takes seconds. One request may take 6 s, and so may the look that
/// ends the call, which has 30 s in all.
const SLOW_ANSWERS: Duration = Duration::from_secs(14);

/// A round of evictions.
#[derive(Debug)]
pub(crate) struct Round {
    evicted: u32,
    forced: Vec<String>,
    blocked: Vec<String>,
    /// The pods that this round has given up, by their UIDs: why.
    given_up: BTreeMap<String, String>,
    /// UIDs of the pods whose requests took seconds to be refused.
    slow: BTreeSet<String>,
    /// What the API server said in this call of a pod that waits, by the pod's UID.
    said: BTreeMap<String, String>,
    slow_until: Timestamp,
    /// Whether a request of this round took seconds.
    met_slow: bool,
}

impl Round {
    /// The first round of a call that began then, after what earlier calls have done.
    pub(crate) fn after(before: Progress, began: Timestamp) -> Self {
        Self {
            evicted: before.evicted_pods,
            forced: before.forced_pods,
            blocked: Vec::new(),
            given_up: BTreeMap::new(),
            slow: before.slow_pods.into_iter().collect(),
            said: BTreeMap::new(),
            slow_until: began + SLOW_ANSWERS,
            met_slow: false,
        }
    }

    /// Begins the next round, with the pods that are there.
    pub(crate) fn begin(&mut self, pods: &[Pod]) {
        self.blocked.clear();
        self.given_up.clear();
        self.met_slow = false;
        self.slow.retain(|uid| pods.iter().any(|pod| pod.uid == *uid));
    }

    /// The pods, those last whose requests take seconds.
    pub(crate) fn in_order<'a>(&self, pods: &'a [Pod]) -> Vec<&'a Pod> {
        let mut pods: Vec<_> = pods.iter().collect();
        pods.sort_by_key(|pod| self.slow.contains(&pod.uid));
        pods
    }

    /// Whether the call has no time for that pod any more, as its request may take seconds; the pod is noted then.
    pub(crate) fn must_skip(&mut self, pod: &Pod, now: Timestamp) -> bool {
        let skip = now >= self.slow_until && (self.met_slow || self.slow.contains(&pod.uid));
        if skip {
            let said = self.said.get(&pod.uid).map(String::as_str);
            let why = said.unwrap_or("not asked for yet: other evictions are answered slowly");
            name(&mut self.blocked, pod, why);
        }
        skip
    }

    /// Notes what came of an eviction.
    pub(crate) fn evicted(&mut self, pod: &Pod, answer: Eviction, expired: bool) {
        match &answer {
            Eviction::Accepted => self.evicted += 1,
            Eviction::Refused(refusal) => self.note_pace(pod, refusal.by),
            Eviction::Blocked(_) | Eviction::Throttled => {}
        }
        self.note(pod, Verdict::of_eviction(answer, expired));
    }

    /// Notes what came of a deletion past the pod's budget.
    pub(crate) fn deleted(&mut self, pod: &Pod, answer: Deletion, expired: bool) {
        match &answer {
            Deletion::Accepted if self.forced.len() < MOST_NAMED => self.forced.push(pod.full_name()),
            Deletion::Refused(refusal) => self.note_pace(pod, refusal.by),
            Deletion::Accepted | Deletion::Gone => {}
        }
        self.note(pod, Verdict::of_deletion(answer, expired));
    }

    fn note_pace(&mut self, pod: &Pod, by: RefusedBy) {
        if by.is_slow() {
            self.met_slow = true;
            self.slow.insert(pod.uid.clone());
        } else {
            self.slow.remove(&pod.uid);
        }
    }

    fn note(&mut self, pod: &Pod, verdict: Verdict) {
        match verdict {
            Verdict::Goes => {}
            Verdict::Waits(why) => {
                name(&mut self.blocked, pod, &why);
                self.said.insert(pod.uid.clone(), why);
            }
            Verdict::Remains(why) => {
                self.given_up.insert(pod.uid.clone(), why);
            }
        }
    }

    /// Whether the drain waits for that pod.
    pub(crate) fn waits_for(&self, pod: &Pod, node: &Node, now: Timestamp) -> bool {
        fate(pod, node, now).holds() && !self.given_up.contains_key(&pod.uid)
    }

    /// Why that pod stays on the node and is not waited for; none where it is, or where it stays by right.
    fn why_remains(&self, pod: &Pod, node: &Node, now: Timestamp) -> Option<&str> {
        match fate(pod, node, now) {
            Fate::Returned if pod.past_cordon == Some(PastCordon::NamesNode) => {
                Some("it came after the cordon, as it names its node")
            }
            Fate::Returned => Some("it came after the cordon, which it tolerates"),
            Fate::Stuck => Some("it is still there long after its grace period"),
            Fate::Leaves => self.given_up.get(&pod.uid).map(String::as_str),
            Fate::Stays | Fate::Leaving => None,
        }
    }

    /// What an answer tells of a node with these pods on it, and what the next call has to know.
    pub(crate) fn seen(&self, node: &Node, pods: &[Pod], now: Timestamp) -> Facts {
        let mut facts = self.done();
        facts.node_name = Some(node.name.clone());
        for pod in pods {
            if self.waits_for(pod, node, now) {
                facts.pods_left += 1;
            } else if let Some(why) = self.why_remains(pod, node, now) {
                name(&mut facts.remaining_pods, pod, why);
            }
        }
        facts
    }

    /// What an answer tells where there is no node to see.
    pub(crate) fn done(&self) -> Facts {
        Facts {
            node_name: None,
            evicted_pods: self.evicted,
            forced_pods: self.forced.clone(),
            blocked_pods: self.blocked.clone(),
            remaining_pods: Vec::new(),
            pods_left: 0,
            progress: Progress {
                evicted_pods: self.evicted,
                forced_pods: self.forced.clone(),
                slow_pods: self.slow.iter().take(MOST_SLOW).cloned().collect(),
            },
        }
    }
}

/// Adds a pod and why it is in that list; a list that is full keeps its first names.
fn name(list: &mut Vec<String>, pod: &Pod, why: &str) {
    if list.len() < MOST_NAMED {
        list.push(format!("{}: {why}", pod.full_name()));
    }
}
