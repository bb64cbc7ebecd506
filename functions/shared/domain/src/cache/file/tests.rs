use super::*;

const HERE: &str = "10.0.1.7";
const THERE: &str = "10.0.1.8";

/// A complete file whose blocks of 10 bytes are on those hosts.
fn file(path: &str, hosts: &[&[&str]]) -> FileState {
    let block = |(id, hosts): (i64, &&[&str])| Block {
        id,
        bytes: 10,
        hosts: hosts.iter().map(ToString::to_string).collect(),
        known: true,
    };
    let blocks: Vec<_> = (1..).zip(hosts).map(block).collect();
    FileState {
        path: path.to_owned(),
        length: blocks.len() as u64 * 10,
        completed: true,
        persisted: false,
        persisting: false,
        folder: false,
        blocks,
        modified_at: Timestamp::UNIX_EPOCH,
    }
}

fn stores() -> Stores {
    Stores {
        blacklist: vec!["_temporary".to_owned(), ".tmp".to_owned()],
        mounts: [("/".to_owned(), false), ("/archive".to_owned(), true)].into(),
        ..Stores::default()
    }
}

fn held(ids: &[i64]) -> Vec<HeldBlock> {
    let block = |id: &i64| HeldBlock { id: *id, bytes: 10 };
    ids.iter().map(block).collect()
}

/// On a worker in service.
fn verdict(file: &FileState) -> Verdict {
    let holder = Holder {
        host: HERE,
        in_service: true,
        listed: None,
    };
    judge(Some(file), holder, &stores())
}

fn need(file: &FileState) -> Need {
    let verdict = verdict(file);
    assert_eq!(verdict.broken, None);
    verdict.need
}

/// On a worker out of service that lists those blocks.
fn afterwards(file: &FileState, ids: &[i64]) -> Verdict {
    let holder = Holder {
        host: HERE,
        in_service: false,
        listed: Some(&held(ids)),
    };
    judge(Some(file), holder, &stores())
}

fn lost(verdict: Verdict) -> u64 {
    verdict.broken.expect("a broken file").lost_blocks
}

#[test]
fn a_deleted_file_needs_nothing() {
    let holder = Holder {
        host: HERE,
        in_service: true,
        listed: None,
    };
    assert_eq!(judge(None, holder, &stores()), Verdict::DONE);
}

#[test]
fn a_persisted_file_needs_nothing_and_is_not_broken() {
    let persisted = FileState {
        persisted: true,
        ..file("/a", &[&[], &[HERE]])
    };
    assert_eq!(verdict(&persisted), Verdict::DONE);
    assert_eq!(afterwards(&persisted, &[2]), Verdict::DONE);
}

#[test]
fn an_empty_file_holds_no_byte_to_lose() {
    assert_eq!(verdict(&file("/_SUCCESS", &[])), Verdict::DONE);
}

#[test]
fn an_unpersisted_file_is_persisted_despite_copies() {
    assert_eq!(need(&file("/a", &[&[HERE]])), Need::Persist);
    assert_eq!(need(&file("/a", &[&[HERE, THERE]])), Need::Persist);
}

#[test]
fn a_blacklisted_file_is_safe_once_it_is_elsewhere() {
    let path = "/job/_temporary/part-0";
    assert_eq!(need(&file(path, &[&[HERE]])), Need::Copy);
    assert_eq!(need(&file(path, &[&[HERE, THERE], &[HERE]])), Need::Copy);
    assert_eq!(need(&file(path, &[&[HERE, THERE], &["10.0.1.9"]])), Need::Nothing);
}

#[test]
fn only_the_blocks_that_nobody_else_has_are_copied() {
    let path = "/job/_temporary/part-0";
    let some = verdict(&file(path, &[&[HERE, THERE], &[HERE], &[THERE]]));
    assert_eq!((some.need, some.bytes, some.only_here), (Need::Copy, 10, 10));
}

#[test]
fn a_file_below_a_read_only_mount_is_copied() {
    assert_eq!(need(&file("/archive/a", &[&[HERE]])), Need::Copy);
    assert_eq!(need(&file("/archive/a", &[&[HERE, THERE]])), Need::Nothing);
    assert_eq!(need(&file("/archives", &[&[HERE]])), Need::Persist);
}

#[test]
fn the_deepest_mount_says_whether_writes_are_taken() {
    let mut stores = stores();
    stores.mounts.insert("/archive/new".to_owned(), false);
    assert_eq!(stores.refusal("/archive/new/a"), None);
    assert!(stores.refusal("/archive/newer").is_some());
    stores.mounts.clear();
    assert!(stores.refusal("/a").is_some(), "nothing is mounted at all");
}

#[test]
fn a_stalled_store_gives_way_to_copies() {
    let stalled = Stores {
        stalled: true,
        ..stores()
    };
    let holder = Holder {
        host: HERE,
        in_service: true,
        listed: None,
    };
    let need = |file: &FileState| judge(Some(file), holder, &stalled).need;
    assert_eq!(need(&file("/a", &[&[HERE]])), Need::Copy);
    assert_eq!(need(&file("/a", &[&[HERE, THERE]])), Need::Nothing);
}

#[test]
fn an_open_file_waits_for_its_writer() {
    let mut open = file("/a", &[&[HERE], &[]]);
    open.completed = false;
    // The block that is being written is not committed.
    open.blocks[1].known = false;
    assert_eq!(need(&open), Need::Completion);
    assert_eq!(verdict(&open).only_here, 20);
    open.blocks.clear();
    assert_eq!(need(&open), Need::Completion);
}

#[test]
fn an_only_copy_out_of_service_is_copied_then_persisted() {
    let need = |file: &FileState, ids: &[i64]| {
        let verdict = afterwards(file, ids);
        assert_eq!(verdict.broken, None);
        verdict.need
    };
    assert_eq!(need(&file("/a", &[&[]]), &[1]), Need::Copy);
    assert_eq!(need(&file("/a", &[&[], &[THERE]]), &[1, 2]), Need::Copy);
    assert_eq!(
        need(&file("/a", &[&["10.0.1.9"], &[THERE]]), &[1, 2]),
        Need::Persist
    );
}

#[test]
fn a_list_that_is_not_at_hand_may_have_any_block() {
    let holder = Holder {
        host: HERE,
        in_service: false,
        listed: None,
    };
    let verdict = judge(Some(&file("/a", &[&[], &[THERE]])), holder, &stores());
    assert_eq!((verdict.need, verdict.broken), (Need::Copy, None));
}

#[test]
fn a_block_lost_elsewhere_breaks_the_file_here() {
    let verdict = verdict(&file("/a", &[&[HERE], &[]]));
    assert_eq!((verdict.need, verdict.bytes), (Need::Copy, 10));
    assert_eq!((lost(verdict), verdict.without_copy), (1, 1));
    assert_eq!(
        verdict.broken.expect("broken").to_string(),
        "1 of its 2 blocks on no worker in service and in no under store"
    );
}

#[test]
fn a_broken_file_that_is_copied_holds_nobody() {
    let verdict = verdict(&file("/a", &[&[HERE, THERE], &[]]));
    assert_eq!(
        (verdict.need, verdict.only_here, lost(verdict)),
        (Need::Nothing, 0, 1)
    );
}

#[test]
fn a_file_of_which_nothing_is_left_holds_nobody() {
    let verdict = verdict(&file("/a", &[&[], &[]]));
    assert_eq!((verdict.need, lost(verdict)), (Need::Nothing, 2));
}

#[test]
fn two_blocks_lost_elsewhere_are_counted() {
    let verdict = verdict(&file("/a", &[&[], &[HERE], &[THERE], &[]]));
    assert_eq!((verdict.need, verdict.bytes, lost(verdict)), (Need::Copy, 10, 2));
}

#[test]
fn a_broken_file_on_the_blacklist_is_judged_alike() {
    let path = "/job/_temporary/part-0";
    let verdict = verdict(&file(path, &[&[HERE], &[]]));
    assert_eq!((verdict.need, lost(verdict)), (Need::Copy, 1));
    let copied = super::tests::verdict(&file(path, &[&[HERE, THERE], &[]]));
    assert_eq!((copied.need, lost(copied)), (Need::Nothing, 1));
}

#[test]
fn of_many_blocks_the_one_without_a_copy_is_copied() {
    let both: &[&str] = &[HERE, THERE];
    let mut hosts = vec![both; 100];
    hosts[40] = &[HERE];
    hosts[41] = &[];
    let verdict = verdict(&file("/a", &hosts));
    assert_eq!((verdict.need, verdict.bytes, lost(verdict)), (Need::Copy, 10, 1));
}

#[test]
fn an_open_file_with_a_lost_block_waits_for_nobody() {
    let mut open = file("/a", &[&[THERE], &[], &[]]);
    open.completed = false;
    open.blocks[2].known = false;
    let verdict = verdict(&open);
    assert_eq!((verdict.need, lost(verdict)), (Need::Nothing, 1));
    open.blocks[0].hosts = vec![HERE.to_owned()];
    let verdict = super::tests::verdict(&open);
    assert_eq!(
        (verdict.need, verdict.bytes, verdict.without_copy),
        (Need::Copy, 10, 2)
    );
}

#[test]
fn a_block_that_the_master_dropped_breaks_a_complete_file() {
    let mut dropped = file("/a", &[&[HERE], &[]]);
    dropped.blocks[1].known = false;
    assert_eq!(lost(verdict(&dropped)), 1);
}

#[test]
fn a_dropped_block_that_the_worker_lists_is_copied() {
    let mut dropped = file("/a", &[&[HERE], &[]]);
    dropped.blocks[1].known = false;
    let listed = held(&[1, 2]);
    let holder = Holder {
        host: HERE,
        in_service: true,
        listed: Some(&listed),
    };
    let verdict = judge(Some(&dropped), holder, &stores());
    assert_eq!(
        (verdict.need, verdict.bytes, verdict.broken),
        (Need::Copy, 20, None)
    );
}

#[test]
fn out_of_service_the_list_tells_lost_from_held() {
    let verdict = afterwards(&file("/a", &[&[], &[]]), &[2]);
    assert_eq!((verdict.need, verdict.bytes, lost(verdict)), (Need::Copy, 10, 1));
    let copied = afterwards(&file("/a", &[&[], &[THERE]]), &[2]);
    assert_eq!((copied.need, lost(copied)), (Need::Nothing, 1));
}
