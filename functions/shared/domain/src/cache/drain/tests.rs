use super::*;
use crate::cache::WorkerFile;
use crate::cache::carried::tests::odd_paths;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("valid")
}

#[test]
fn a_worker_goes_out_of_service_after_two_clean_passes_in_a_row() {
    let (clean, mut dirty) = (Pass::default(), Pass::default());
    dirty.needs("/a", 1, "persist");
    let mut progress = Progress::default();
    assert!(!progress.passed(&clean));
    assert!(!progress.passed(&dirty));
    assert!(!progress.passed(&clean));
    assert!(progress.passed(&clean));
}

fn page(looked: u64, total: u64) -> WorkerFilePage {
    let file = |index| WorkerFile {
        path: format!("/f{index}"),
        persisted: true,
        ..WorkerFile::default()
    };
    WorkerFilePage {
        total,
        looked,
        files: (0..looked).map(file).collect(),
    }
}

#[test]
fn a_pass_skips_no_file_when_others_vanish_between_two_pages() {
    let mut pass = Pass::default();
    pass.page(&page(100, 250));
    assert_eq!(pass.offset, 100);
    // 30 files are gone: what stood at 100 may stand at 70 now.
    pass.page(&page(100, 220));
    assert_eq!(pass.offset, 170);
    assert!(!pass.complete(&page(100, 220)));
    pass.page(&page(50, 220));
    assert!(pass.complete(&page(50, 220)));
}

#[test]
fn a_page_without_a_single_name_is_not_the_last_one() {
    let nameless = WorkerFilePage {
        files: Vec::new(),
        ..page(100, 250)
    };
    let mut pass = Pass::default();
    pass.page(&nameless);
    assert_eq!((pass.offset, pass.unnamed_files), (100, 100));
    assert!(!pass.complete(&nameless));
}

#[test]
fn a_pass_with_files_without_a_name_takes_no_worker_out_of_service() {
    let mut progress = Progress::default();
    let nameless = Pass {
        unnamed_files: 1,
        ..Pass::default()
    };
    assert!(!progress.passed(&nameless) && !progress.passed(&nameless));
}

#[test]
fn a_copy_is_asked_for_again_more_and_more_rarely() {
    let copy = |bytes, times| Pending {
        bytes,
        times,
        copy: true,
        ..Pending::default()
    };
    assert!(!copy(1, 0).copy_overdue(at(59)) && copy(1, 0).copy_overdue(at(60)));
    let large = copy(6_000_000_000, 0);
    assert!(!large.copy_overdue(at(659)) && large.copy_overdue(at(660)));
    assert!(!copy(1, 2).copy_overdue(at(239)) && copy(1, 2).copy_overdue(at(240)));
}

#[test]
fn a_pass_over_an_empty_worker_is_complete_at_once() {
    let mut pass = Pass::default();
    pass.page(&page(0, 0));
    assert!(pass.complete(&page(0, 0)) && pass.clean());
}

#[test]
fn a_named_file_tells_why_no_copy_is_made() {
    let mut pass = Pass::default();
    pass.needs("/a", 1, "no copy elsewhere");
    pass.needs("/ab", 1, "no copy elsewhere");
    for _ in 0..2 {
        pass.refused("/ab", "no other worker is in service");
    }
    pass.refused("/not-named", "no other worker is in service");
    assert_eq!(
        pass.named,
        [
            "/a (1 bytes: no copy elsewhere)",
            "/ab (1 bytes: no copy elsewhere: no other worker is in service)"
        ]
    );
}

#[test]
fn a_pass_counts_every_file_and_names_the_first() {
    let mut pass = Pass::default();
    for index in 0..1_000 {
        pass.needs(&format!("/f{index}"), 10, "persist");
    }
    assert_eq!(
        (pass.unsafe_files, pass.unsafe_bytes, pass.named.len()),
        (1_000, 10_000, MOST_NAMED)
    );
    assert_eq!(pass.named[0], "/f0 (10 bytes: persist)");
}

/// Step Functions refuses more than 256 KiB; the answers of all other steps are beside it.
const MOST_CARRIED_BYTES: usize = 128 * 1024;

#[test]
fn what_is_carried_is_bounded_whatever_the_paths() {
    for path in odd_paths() {
        let mut progress = Progress::default();
        let mut pass = Pass::default();
        for _ in 0..4_096 {
            pass.needs(
                &path,
                u64::MAX >> 12,
                "no copy elsewhere, and not to be persisted from here",
            );
            progress.waiting.push(Waiting {
                path: path.clone(),
                bytes: u64::MAX,
                at_stake: true,
            });
        }
        for number in 0..MOST_PENDING {
            let asked_at = Timestamp::MAX;
            progress.pending.push(Pending {
                path: path.clone(),
                bytes: u64::MAX,
                asked_at,
                ..Pending::default()
            });
            progress.give_way(&format!("{path}{number}"));
        }
        for number in 0..1_000 {
            progress.give_way(&format!("/{number}"));
        }
        progress.pass = Some(pass);
        progress.lighten();
        let size = serde_json::to_vec(&progress).expect("serializes").len();
        assert!(size < MOST_CARRIED_BYTES, "{size} bytes");
    }
}

#[test]
fn what_has_room_is_carried_though_a_longer_path_has_not() {
    let pending = |path: &str| Pending {
        path: path.to_owned(),
        ..Pending::default()
    };
    let mut progress = Progress {
        pending: vec![pending("/a"), pending(&"/x".repeat(30_000)), pending("/b")],
        ..Progress::default()
    };
    progress.lighten();
    let paths: Vec<_> = progress.pending.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b"]);
}

#[test]
fn a_pass_that_saw_the_same_as_the_last_has_changed_nothing() {
    let mut pass = Pass::default();
    pass.needs("/a", 1, "persist");
    let mut progress = Progress::default();
    assert!(progress.ended(&pass, at(0)));
    assert!(!progress.ended(&pass, at(0)));
    progress.saved(&Pending::default(), true, at(1));
    assert!(progress.ended(&pass, at(0)), "another file became safe");
    pass.unnamed_files = 1;
    assert!(progress.ended(&pass, at(0)));
}

#[test]
fn calls_follow_at_once_while_files_become_safe() {
    let mut progress = Progress::default();
    let saved = |progress: &mut Progress| {
        let before = progress.totals;
        progress.saved(&Pending::default(), true, at(1));
        progress.called(before)
    };
    assert!(saved(&mut progress));
    let idle = progress.totals;
    assert!(!progress.called(idle), "nothing became safe, no pass goes on");
    let calls = (0..10_000).take_while(|_| saved(&mut progress)).count();
    assert!((250..=300).contains(&calls), "{calls}");
}

#[test]
fn a_pass_that_goes_on_is_waited_for_once_it_finds_the_same() {
    let mut pass = Pass::default();
    pass.needs("/a", 1, "persist");
    let mut progress = Progress {
        pass: Some(pass.clone()),
        ..Progress::default()
    };
    assert!(progress.called(Totals::default()), "the first pass");
    progress.ended(&pass, at(0));
    progress.ended(&pass, at(0));
    assert!(!progress.called(Totals::default()));
}

#[test]
fn a_file_whose_persisting_fails_may_be_copied_instead() {
    let mut progress = Progress::default();
    progress.give_way("/a");
    assert!(progress.gave_way("/a") && !progress.gave_way("/b"));
    progress.flow.halt(at(0));
    progress.flow.halt(at(1));
    assert!(progress.gave_way("/b"), "nothing is persisted at all");
}

#[test]
fn clients_have_had_their_new_list_of_workers_before_a_worker_counts_as_idle() {
    let wait = IdleWait {
        refresh_seconds: 120,
        limit_seconds: 180,
    };
    let idle = [Some(WorkerLoad {
        operations: 0,
        active_reads: 0,
        active_writes: 0,
    }); 3];
    assert_eq!(wait.judge(at(0), &idle, at(119)), Idle::NotYet);
    assert_eq!(wait.judge(at(0), &idle, at(120)), Idle::Idle);
    assert_eq!(wait.judge(at(0), &idle[..2], at(120)), Idle::NotYet);
}

#[test]
fn a_worker_that_never_looks_idle_goes_after_its_limit() {
    let wait = IdleWait {
        refresh_seconds: 120,
        limit_seconds: 180,
    };
    let busy = [Some(WorkerLoad {
        operations: 0,
        active_reads: 1,
        active_writes: 0,
    }); 3];
    assert_eq!(wait.judge(at(0), &busy, at(179)), Idle::NotYet);
    assert_eq!(wait.judge(at(0), &busy, at(180)), Idle::LimitReached);
}

#[test]
fn a_worker_that_does_not_answer_is_not_taken_for_idle() {
    let wait = IdleWait {
        refresh_seconds: 0,
        limit_seconds: 180,
    };
    assert_eq!(wait.judge(at(0), &[None, None, None], at(1)), Idle::NotYet);
    assert_eq!(
        wait.judge(at(0), &[None, None, None], at(180)),
        Idle::LimitReached
    );
}

#[test]
fn the_rate_is_the_highest_at_which_a_file_of_some_size_was_written() {
    let file = |bytes, asked_at| Pending {
        bytes,
        asked_at: at(asked_at),
        ..Pending::default()
    };
    let mut progress = Progress::default();
    let rate = |progress: &Progress| progress.hurry(at(100), at(40));
    progress.saved(&file(4_096, 8), true, at(10));
    assert_eq!(
        rate(&progress),
        Hurry {
            seconds_left: 60,
            bytes_per_second: SLOW_STORE_BYTES_PER_SECOND
        },
        "a small file says nothing"
    );
    progress.saved(&file(200 << 20, 0), true, at(10));
    progress.saved(&file(400 << 20, 0), true, at(10));
    progress.saved(&file(100 << 20, 0), true, at(10));
    assert_eq!(rate(&progress).bytes_per_second, 40 << 20);
    assert_eq!(progress.hurry(at(100), at(200)).seconds_left, 0);
}

#[test]
fn clients_of_an_instance_that_is_taken_away_get_the_time_that_is_left() {
    let wait = IdleWait {
        refresh_seconds: 120,
        limit_seconds: 180,
    };
    let busy = [Some(WorkerLoad {
        operations: 1,
        active_reads: 0,
        active_writes: 0,
    }); 3];
    let cut = wait.until(at(0), at(30));
    assert_eq!(cut.judge(at(0), &busy, at(29)), Idle::NotYet);
    assert_eq!(cut.judge(at(0), &busy, at(30)), Idle::LimitReached);
    assert_eq!(wait.until(at(0), at(3_600)), wait);
}
