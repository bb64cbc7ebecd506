//! What functions answer, in their own types.

use serde_json::json;
use tidegate_domain::cache::{Pass, Progress, Totals};
use tidegate_domain::launches::Failure;
use tidegate_domain::outcome::{
    CordonOutcome, DrainOutcome, EvictOutcome, LabelOutcome, LaunchOutcome, RetireOutcome, VolumesOutcome,
    WorkerOutcome,
};

use crate::scene::Asked;
use crate::walker::Reply;

pub(crate) fn labelled(asked: &Asked) -> Reply {
    let wishes = label_node::Wishes {
        node: asked.call.node.clone(),
        deadline: asked.call.frame.deadline,
    };
    labelled_with(asked, wishes)
}

/// The node was labelled, and others that join it wanted more.
pub(crate) fn labelled_with(asked: &Asked, wishes: label_node::Wishes) -> Reply {
    let facts = label_node::Facts {
        node_name: Some("node-1".to_owned()),
        wishes: Some(wishes),
        ..label_node::Facts::default()
    };
    asked.says(LabelOutcome::Labelled, "node node-1 is labelled", facts)
}

/// The node is this execution's, and nobody else wanted anything.
pub(crate) fn cordoned(asked: &Asked) -> Reply {
    cordoned_with(asked, own_wishes(asked))
}

/// What the execution itself wants.
pub(crate) fn own_wishes(asked: &Asked) -> cordon_node::Wishes {
    cordon_node::Wishes {
        node: asked.call.node.clone(),
        deadline: asked.call.frame.deadline,
        terminate: asked.payload["terminate"] == json!(true),
        replace: asked.payload["replace"] == json!(true),
        reclaimed: asked.payload["reclaimed"] == json!(true),
    }
}

/// The node is this execution's, with what those want that it took it over from.
pub(crate) fn cordoned_with(asked: &Asked, wishes: cordon_node::Wishes) -> Reply {
    let facts = cordon_node::Facts {
        node_name: Some("node-1".to_owned()),
        wishes: Some(wishes),
    };
    asked.says(CordonOutcome::Cordoned, "node node-1 is cordoned", facts)
}

pub(crate) fn no_node(asked: &Asked) -> Reply {
    asked.waits(
        LabelOutcome::Waiting,
        "it is not a node yet",
        label_node::Facts::default(),
    )
}

pub(crate) fn provisioned(asked: &Asked) -> Reply {
    let facts = provision_volumes::Facts {
        volumes: vec!["local-pv-1".to_owned(), "local-pv-2".to_owned()],
        ..provision_volumes::Facts::default()
    };
    asked.says(VolumesOutcome::Provisioned, "2 disks are 2 volumes", facts)
}

pub(crate) fn volumes(asked: &Asked, outcome: VolumesOutcome, reason: &str) -> Reply {
    let facts = provision_volumes::Facts::default();
    if outcome == VolumesOutcome::Waiting {
        asked.waits(outcome, reason, facts)
    } else {
        asked.says(outcome, reason, facts)
    }
}

pub(crate) fn ready(asked: &Asked) -> Reply {
    let facts = schedule_worker::Facts {
        node_name: Some("node-1".to_owned()),
        pod: Some("alluxio/alluxio-worker-2x300g-1".to_owned()),
        capacity_bytes: Some(528_280_977_408),
        ..schedule_worker::Facts::default()
    };
    asked.says(
        WorkerOutcome::Ready,
        "node node-1 is open, its worker in service",
        facts,
    )
}

pub(crate) fn worker(asked: &Asked, outcome: WorkerOutcome, reason: &str) -> Reply {
    let facts = schedule_worker::Facts::default();
    if outcome == WorkerOutcome::Waiting {
        asked.waits(outcome, reason, facts)
    } else {
        asked.says(outcome, reason, facts)
    }
}

/// No launch before has failed like this one.
pub(crate) fn abandon(asked: &Asked) -> Reply {
    let facts = judge_launch::Facts {
        failure: Failure {
            step: asked.payload["step"].as_str().unwrap_or_default().to_owned(),
            launch_template: None,
        },
    };
    let reason = asked.payload["reason"].as_str().unwrap_or_default();
    asked.says(LaunchOutcome::Abandon, reason, facts)
}

pub(crate) fn evicted(asked: &Asked) -> Reply {
    let facts = evict_pods::Facts {
        node_name: Some("node-1".to_owned()),
        evicted_pods: 3,
        ..evict_pods::Facts::default()
    };
    asked.says(
        EvictOutcome::Evicted,
        "node node-1 is cordoned and clear of pods",
        facts,
    )
}

/// Pods that a budget holds.
pub(crate) fn blocked(asked: &Asked) -> Reply {
    let facts = evict_pods::Facts {
        blocked_pods: vec!["default/spark-1: budget spark".to_owned()],
        pods_left: 1,
        ..evict_pods::Facts::default()
    };
    asked.waits(EvictOutcome::Waiting, "1 pods are left on node node-1", facts)
}

/// How far the files are: so many saved, so many not.
pub(crate) fn facts(saved: u64, left: u64) -> drain_cache::Facts {
    let totals = Totals {
        persisted_files: saved,
        persisted_bytes: saved << 20,
        ..Totals::default()
    };
    let mut progress = Progress::default();
    progress.totals = totals;
    drain_cache::Facts {
        host: Some("10.0.0.7".to_owned()),
        files_left: left,
        bytes_left: left << 20,
        totals,
        progress: Some(progress),
        ..drain_cache::Facts::default()
    }
}

pub(crate) fn drained(asked: &Asked) -> Reply {
    let reason = "nothing on worker 10.0.0.7 is the only copy, and it is out of service";
    asked.says(DrainOutcome::Drained, reason, facts(3, 0))
}

pub(crate) fn saving(asked: &Asked) -> Reply {
    let saved = u64::try_from(asked.before).unwrap_or_default();
    asked.waits(
        DrainOutcome::Waiting,
        "2 files on worker 10.0.0.7 are not safe yet",
        facts(saved, 2),
    )
}

pub(crate) fn incomplete(asked: &Asked) -> Reply {
    let reason = "time is up: 2 files on worker 10.0.0.7 are not safe yet, such as /a";
    asked.says(DrainOutcome::Incomplete, reason, facts(1, 2))
}

/// What a worker answers that is in a pass at the end of each call, has saved a file in it, and is never done.
pub(crate) fn saving_for_ever(asked: &Asked) -> Reply {
    let carried = asked.payload["progress"].clone();
    let mut progress: Progress = serde_json::from_value(carried).unwrap_or_default();
    let before = progress.totals;
    progress.totals.persisted_files += 1;
    progress.pass = Some(Pass::default());
    let moving = progress.called(before);
    let outcome = if asked.at < asked.call.frame.deadline {
        DrainOutcome::Waiting
    } else {
        DrainOutcome::Incomplete
    };
    let reason = "500 of 1000000 files have been looked at, 2 of them are not safe yet";
    let facts = drain_cache::Facts {
        progress: Some(progress),
        ..facts(1, 2)
    };
    match outcome {
        _ if moving => asked.hurries(outcome, reason, facts),
        DrainOutcome::Waiting => asked.waits(outcome, reason, facts),
        _ => asked.says(outcome, reason, facts),
    }
}

/// A worker that is gone with two files that were only there.
pub(crate) fn lost(asked: &Asked) -> Reply {
    let reason = "node node-1 has no Alluxio worker; when the files of its worker were last looked at, 2 of them (2097152 \
                  bytes) existed nowhere else, such as /a";
    let listed = drain_cache::Facts {
        unsaved_files: vec!["/a (1048576 bytes: not in the under store)".to_owned()],
        more_unsaved_files: Some(1),
        ..facts(1, 2)
    };
    asked.says(DrainOutcome::Lost, reason, listed)
}

/// What a worker that is never saved answers: waiting, from the deadline on incomplete, and once the hook is over too.
pub(crate) fn never_saved(asked: &Asked) -> Reply {
    if asked.payload["hookOver"] == true {
        let reason = "the terminate hook waits no longer, and 2 files (2097152 bytes) on worker 10.0.0.7 exist nowhere else";
        let listed = drain_cache::Facts {
            unsaved_files: vec!["/a (1048576 bytes: not in the under store)".to_owned()],
            ..facts(1, 2)
        };
        asked.says(DrainOutcome::Incomplete, reason, listed)
    } else if asked.at < asked.call.frame.deadline {
        saving(asked)
    } else {
        incomplete(asked)
    }
}

pub(crate) fn retired(asked: &Asked) -> Reply {
    let facts = retire_worker::Facts {
        node_name: Some("node-1".to_owned()),
        deleted_volumes: vec!["local-pv-1".to_owned(), "local-pv-2".to_owned()],
        ..retire_worker::Facts::default()
    };
    asked.says(
        RetireOutcome::Retired,
        "worker of node node-1 is gone, and 2 volumes",
        facts,
    )
}

pub(crate) fn retiring(asked: &Asked) -> Reply {
    let reason = "pod alluxio/alluxio-worker-1 is not being deleted yet";
    asked.waits(RetireOutcome::Waiting, reason, retire_worker::Facts::default())
}

/// A pod that was deleted past its budget.
pub(crate) fn forced(asked: &Asked) -> Reply {
    let done = json!({ "evictedPods": 3, "forcedPods": ["default/spark-1"] });
    let facts = evict_pods::Facts {
        evicted_pods: 3,
        forced_pods: vec!["default/spark-1".to_owned()],
        progress: serde_json::from_value(done).expect("what evict-pods carries from call to call"),
        ..evict_pods::Facts::default()
    };
    match asked.before {
        0 => asked.waits(EvictOutcome::Waiting, "1 pods are left on node node-1", facts),
        _ => asked.says(
            EvictOutcome::Evicted,
            "node node-1 is cordoned and clear of pods",
            facts,
        ),
    }
}
