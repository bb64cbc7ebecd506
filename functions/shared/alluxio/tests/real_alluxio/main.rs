//! The adapters against real Alluxio processes. The masters and the files server are those of the local world;
//! workers, and masters that are ill-treated, are of the tests' own.

// A test ends by a panic; clippy knows only the functions that carry the attribute as tests.
#![allow(clippy::expect_used, clippy::panic)]

mod processes;
mod world;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tidegate_alluxio::{AlluxioMaster, AlluxioWorkers, Login};
use tidegate_domain::bootstrap::{MasterRole, MasterRoles};
use tidegate_domain::cache::{FileState, HeldBlock, Holder, Need, Worker, WorkerState, judge};
use tidegate_domain::error::{ErrorName, Result};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Copied, CopyTargets, CopyWish, MasterPlace, MasterPlaces, Target,
    WorkerReport,
};

use processes::{TIER_BYTES, TestMaster, TestWorker};
use world::{ADMINISTRATOR, World, all_files, eventually, path, status};

/// A JVM on a machine that is busy with other tests.
const START_SECONDS: u64 = 90;
/// A persist of a small file takes 2 to 4 s; a minute more where the job master gives it to a job worker that has just ended,
/// as those of other tests have.
const SAVE_SECONDS: u64 = 150;

/// Lets copies go to that worker alone, whatever else is in service.
struct OnlyTo<'a>(&'a str);

impl CopyTargets for OnlyTo<'_> {
    async fn claim(&self, target: &Worker, _: bool, _: &CopyWish<'_>) -> Result<Target> {
        Ok(if target.host == self.0 {
            Target::Claimed
        } else {
            Target::Draining
        })
    }
}

async fn copied(
    master: &AlluxioMaster,
    path: &str,
    from: &Worker,
    listed: Option<&[HeldBlock]>,
    to: &TestWorker,
) -> Copied {
    let wish = CopyWish {
        path,
        from,
        listed,
        under_way: 0,
        namespace: "alluxio",
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let asked = master.copy(&wish, &OnlyTo(&to.host)).await;
    asked.expect("an answer")
}

fn block_hosts(file: &FileState) -> Vec<Vec<String>> {
    file.blocks.iter().map(|block| block.hosts.clone()).collect()
}

async fn registered(master: &AlluxioMaster, host: &str) -> Worker {
    eventually(
        &format!("worker {host} is in service"),
        START_SECONDS,
        async || {
            let worker = master.worker(host).await.expect("a report")?;
            (worker.state == WorkerState::Live).then_some(worker)
        },
    )
    .await
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_host_without_a_worker_is_none() {
    let world = World::running();
    assert_eq!(world.master().worker("203.0.113.9").await, Ok(None));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_primary_is_found_among_masters_that_are_away() {
    let world = World::running();
    let away = format!("{}:19998", world.address());
    let masters = vec![away, world.master_address().to_owned()];
    let master = AlluxioMaster::new(
        masters,
        Login::Simple {
            user: ADMINISTRATOR.into(),
        },
    )
    .expect("masters");
    assert_eq!(master.worker("203.0.113.9").await, Ok(None));
}

/// A cluster in which the masters move: each lookup finds the next of these.
struct Moving(RefCell<Vec<Vec<String>>>);

impl MasterPlaces for Moving {
    async fn master_places(&self, _: &str) -> Result<Vec<MasterPlace>> {
        let place = |address| MasterPlace {
            address,
            ..MasterPlace::default()
        };
        let found = self.0.borrow_mut().remove(0);
        Ok(found.into_iter().map(place).collect())
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn masters_in_the_cluster_are_found_where_they_are_now_and_say_which_is_the_primary() {
    let world = World::running();
    let (away, here) = (
        format!("{}:19998", world.address()),
        world.master_address().to_owned(),
    );
    let lookups = vec![
        vec![],
        vec![away.clone()],
        vec![away.clone(), here.clone()],
        vec![away.clone(), here.clone()],
    ];
    let login = Login::Simple {
        user: ADMINISTRATOR.into(),
    };
    let master = AlluxioMaster::in_cluster(Moving(RefCell::new(lookups)), "alluxio".into(), login);
    for _ in 0..2 {
        let error = master.worker("203.0.113.9").await.expect_err("not yet");
        assert_eq!(error.name, ErrorName::AlluxioUnavailable, "{error}");
    }
    // The second question goes over the connection that the first has opened.
    for _ in 0..2 {
        assert_eq!(master.worker("203.0.113.9").await, Ok(None));
    }
    let roles = master.master_roles().await.expect("asked");
    assert_eq!(roles.get(&here), Some(&MasterRole::Primary));
    assert_eq!(roles.get(&away), Some(&MasterRole::Silent));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn without_any_primary_the_cache_is_unavailable_and_every_master_is_named() {
    let world = World::running();
    let away: Vec<_> = [(), ()].map(|()| format!("{}:19998", world.address())).into();
    let master = AlluxioMaster::new(away.clone(), Login::NoSasl).expect("masters");
    let error = master.worker("203.0.113.9").await.expect_err("no master");
    assert_eq!(error.name, ErrorName::AlluxioUnavailable);
    assert!(
        away.iter().all(|master| error.message.contains(master)),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_blacklist_is_the_one_that_the_master_persists_by() {
    let world = World::running();
    let stores = world.master().stores().await.expect("an answer");
    assert_eq!(stores.blacklist, [".staging", "_temporary", ".tmp", "_delta_log"]);
    assert!(stores.awaits_command, "as the world sets it");
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_root_is_mounted_and_takes_writes() {
    let world = World::running();
    let mounts = world.master().stores().await.expect("an answer").mounts;
    assert_eq!(mounts.get("/"), Some(&false), "{mounts:?}");
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_file_that_was_deleted_is_none_and_gone() {
    let world = World::running();
    let (master, file) = (world.master(), path("deleted"));
    world.write(&file, "MUST_CACHE", "", 0).await;
    assert!(master.file(&file).await.expect("a status").is_some());
    world.delete(&file).await;
    assert_eq!(master.file(&file).await, Ok(None));
    assert_eq!(master.persist(&file).await, Ok(Changed::Gone));
    assert_eq!(master.file(&format!("{file}/below")).await, Ok(None));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_call_without_the_login_that_the_master_asks_for_is_refused() {
    let world = World::running();
    let masters = vec![world.master_address().to_owned()];
    let master = AlluxioMaster::new(masters, Login::NoSasl).expect("a master");
    let error = master.file("/").await.expect_err("no login");
    assert_eq!(error.name, ErrorName::AlluxioRefused, "{error}");
    assert!(
        error.message.contains("alluxio.security.authentication.type"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_user_without_rights_is_refused_and_the_way_out_is_told() {
    let world = World::running();
    let directory = path("private");
    world.make_directory(&directory, "0700").await;
    let file = format!("{directory}/of-another");
    world.write(&file, "MUST_CACHE", "", 0).await;
    assert!(world.master().file(&file).await.expect("a status").is_some());
    let stranger = world.master_as("a-stranger");
    let error = stranger.file(&file).await.expect_err("no right");
    assert_eq!(error.name, ErrorName::AlluxioRefused, "{error}");
    assert!(
        error.message.contains("a-stranger") && error.message.contains("configure the user"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_fresh_worker_is_in_service_with_the_bytes_of_its_disks_and_does_nothing() {
    let world = World::running();
    let (master, workers) = (world.master(), AlluxioWorkers::default());
    let test = TestWorker::start(world.address(), world.master_address(), false);
    let worker = registered(&master, &test.host).await;
    assert_eq!(
        (worker.host.as_str(), worker.address.as_str()),
        (test.host.as_str(), test.host.as_str())
    );
    assert_eq!((worker.rpc_port, worker.web_port), (29_999, 30_000));
    assert_eq!((worker.capacity_bytes, worker.used_bytes), (2 * TIER_BYTES, 0));
    assert!(worker.last_contact_seconds < 10, "{worker:?}");
    let every = master.every_worker().await.expect("a report");
    assert!(every.iter().any(|other| other.host == worker.host), "{every:?}");
    assert_eq!(master.lost_storage(&test.host).await, Ok(vec![]));
    assert_eq!(all_files(&worker, 100).await, []);
    let load = workers
        .load(&worker)
        .await
        .expect("an answer")
        .expect("the worker answers");
    assert!(load.idle(), "{load:?}");
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_directory_that_a_worker_cannot_use_is_lost_storage_and_missing_capacity() {
    let world = World::running();
    let master = world.master();
    let test = TestWorker::with_directories(world.address(), world.master_address(), false, "a-file/tier");
    let worker = registered(&master, &test.host).await;
    assert_eq!(worker.capacity_bytes, TIER_BYTES);
    let lost = master.lost_storage(&test.host).await.expect("an answer");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(
        lost[0].starts_with(&format!("SSD:{}", test.directory("a-file/tier"))),
        "{lost:?}"
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn what_is_on_a_worker_is_listed_page_by_page_under_its_own_name() {
    let world = World::running();
    let master = world.master();
    let test = TestWorker::start(world.address(), world.master_address(), false);
    let worker = registered(&master, &test.host).await;
    let names = [
        "a b",
        "dt=2026-01-01 00:00:00",
        "100%25",
        "ü-日本",
        "co:lon",
        "quo\"te<b>&amp;",
        "plus+",
        "new\nline",
    ];
    let mut expected: Vec<_> = names.iter().map(|name| (path(name), false)).collect();
    for (file, _) in &expected {
        world.write(file, "MUST_CACHE", &test.host, 1000).await;
    }
    let written_through = path("persisted");
    world
        .write(&written_through, "CACHE_THROUGH", &test.host, 1000)
        .await;
    expected.push((written_through, true));

    let listed = all_files(&worker, 2).await;
    let mut found: Vec<_> = listed
        .into_iter()
        .map(|file| (file.path, file.persisted))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for (file, persisted) in expected {
        let state = status(&master, &file).await;
        assert_eq!(
            (state.path.as_str(), state.length, state.completed),
            (file.as_str(), 1000, true)
        );
        assert_eq!(
            (state.persisted, block_hosts(&state)),
            (persisted, vec![vec![test.host.clone()]]),
            "{file}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_deleted_file_is_covered_by_its_page_until_the_worker_has_forgotten_it() {
    let world = World::running();
    let (master, workers) = (world.master(), AlluxioWorkers::default());
    let test = TestWorker::start(world.address(), world.master_address(), false);
    let worker = registered(&master, &test.host).await;
    let (kept, deleted) = (path("kept"), path("deleted"));
    for file in [&deleted, &kept] {
        world.write(file, "MUST_CACHE", &test.host, 1000).await;
    }
    // The master tells a worker out of service nothing any more, so this one never forgets.
    assert_eq!(master.decommission(&worker).await, Ok(Changed::Done));
    world.delete(&deleted).await;
    let page = workers
        .files(&worker, 0, 100)
        .await
        .expect("a page")
        .expect("the worker answers");
    assert_eq!((page.total, page.looked), (2, 2));
    assert_eq!(
        page.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
        [&kept]
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_file_that_only_the_cache_has_is_persisted_once_it_is_complete() {
    let world = World::running();
    let master = world.master();
    let test = TestWorker::start(world.address(), world.master_address(), true);
    registered(&master, &test.host).await;
    let file = path("cached-only");
    let id = world.begin(&file, &test.host).await;
    assert!(!status(&master, &file).await.completed);
    assert_eq!(master.persist(&file).await, Ok(Changed::Conflict));

    world.end(&id).await;
    let state = status(&master, &file).await;
    assert!(state.completed && !state.persisted, "{state:?}");
    assert_eq!(master.persist(&file).await, Ok(Changed::Done));
    eventually("the file is in the under store", SAVE_SECONDS, async || {
        status(&master, &file).await.persisted.then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_file_that_is_never_persisted_gets_its_copy_on_another_worker() {
    let world = World::running();
    let master = world.master();
    let here = TestWorker::start(world.address(), world.master_address(), true);
    let there = TestWorker::start(world.address(), world.master_address(), true);
    let worker = registered(&master, &here.host).await;
    registered(&master, &there.host).await;
    let file = path("_temporary/part-0");
    world.write(&file, "MUST_CACHE", &here.host, 1000).await;

    assert_eq!(master.persist(&file).await, Ok(Changed::Done));
    assert_eq!(copied(&master, &file, &worker, None, &there).await, Copied::Asked);
    let state = eventually("the file has a copy elsewhere", SAVE_SECONDS, async || {
        let state = status(&master, &file).await;
        state.complete_without(&here.host).then_some(state)
    })
    .await;
    assert!(!state.persisted, "{state:?}");
    world.delete(&file).await;
    assert_eq!(
        copied(&master, &file, &worker, None, &there).await,
        Copied::Nothing
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_only_copy_on_a_worker_out_of_service_is_copied_to_one_in_service_and_then_persisted() {
    let world = World::running();
    let master = world.master();
    let here = TestWorker::start(world.address(), world.master_address(), false);
    let there = TestWorker::start(world.address(), world.master_address(), true);
    let worker = registered(&master, &here.host).await;
    registered(&master, &there.host).await;
    let file = path("raced");
    world.write(&file, "MUST_CACHE", &here.host, 1000).await;
    assert_eq!(master.decommission(&worker).await, Ok(Changed::Done));
    assert_eq!(block_hosts(&status(&master, &file).await), [Vec::<String>::new()]);
    let worker = master.worker(&here.host).await.expect("a report").expect("known");

    assert_eq!(copied(&master, &file, &worker, None, &there).await, Copied::Asked);
    eventually("the file has a copy elsewhere", SAVE_SECONDS, async || {
        status(&master, &file)
            .await
            .complete_without(&here.host)
            .then_some(())
    })
    .await;
    drop(here);
    assert_eq!(master.persist(&file).await, Ok(Changed::Done));
    eventually("the file is in the under store", SAVE_SECONDS, async || {
        status(&master, &file).await.persisted.then_some(())
    })
    .await;
}

/// The blocks of a file that a worker lists.
async fn listed(worker: &Worker, path: &str) -> Vec<HeldBlock> {
    let files = all_files(worker, 100).await.into_iter();
    let mut blocks: Vec<_> = files
        .filter(|file| file.path == path)
        .flat_map(|file| file.blocks)
        .collect();
    blocks.sort_by_key(|block| block.id);
    blocks
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn what_is_left_of_a_broken_file_is_copied() {
    let world = World::running();
    let master = world.master();
    let stores = master.stores().await.expect("an answer");
    let mut here = TestWorker::start(world.address(), world.master_address(), false);
    let there = TestWorker::start(world.address(), world.master_address(), false);
    registered(&master, &here.host).await;
    registered(&master, &there.host).await;
    let file = path("broken");
    world
        .write_blocks(&file, "MUST_CACHE", &here.host, 3, 65_536)
        .await;
    let ids: Vec<_> = status(&master, &file)
        .await
        .blocks
        .iter()
        .map(|block| block.id)
        .collect();
    assert_eq!(ids.len(), 3);
    here.restart_without(ids[1]);
    let state = eventually("its worker is back without a block", START_SECONDS, async || {
        let state = status(&master, &file).await;
        // Until it registers again the master has its blocks as they were.
        let back = state.blocks[0].hosts == [here.host.clone()];
        (back && state.blocks[1].hosts.is_empty()).then_some(state)
    })
    .await;
    assert!(state.blocks[1].known, "{state:?}");
    let worker = registered(&master, &here.host).await;
    let verdict = judge(Some(&state), Holder::of(&worker, None), &stores);
    assert_eq!((verdict.need, verdict.bytes), (Need::Copy, 2 * 65_536));
    assert_eq!(verdict.broken.map(|broken| broken.lost_blocks), Some(1));

    // Out of service it tells itself which blocks it has.
    assert_eq!(master.decommission(&worker).await, Ok(Changed::Done));
    let worker = master.worker(&here.host).await.expect("a report").expect("known");
    let held = listed(&worker, &file).await;
    let held_ids: Vec<_> = held.iter().map(|block| (block.id, block.bytes)).collect();
    assert_eq!(held_ids, [(ids[0], 65_536), (ids[2], 65_536)]);
    let state = status(&master, &file).await;
    assert_eq!(
        judge(Some(&state), Holder::of(&worker, Some(&held)), &stores),
        verdict
    );
    assert_eq!(
        copied(&master, &file, &worker, Some(&held), &there).await,
        Copied::Asked
    );
    let state = eventually("what is left has a copy elsewhere", SAVE_SECONDS, async || {
        let state = status(&master, &file).await;
        (state.without_another(&here.host) == 1).then_some(state)
    })
    .await;
    let after = judge(Some(&state), Holder::of(&worker, Some(&held)), &stores);
    assert_eq!((after.need, after.broken), (Need::Nothing, verdict.broken));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_block_that_is_being_written_is_not_lost() {
    let world = World::running();
    let master = world.master();
    let stores = master.stores().await.expect("an answer");
    let test = TestWorker::start(world.address(), world.master_address(), false);
    let worker = registered(&master, &test.host).await;
    let file = path("open-blocks");
    world.begin_blocks(&file, &test.host, 65_536).await;
    let state = status(&master, &file).await;
    let known: Vec<_> = state.blocks.iter().map(|block| block.known).collect();
    assert_eq!(known.last(), Some(&false), "{state:?}");
    let verdict = judge(Some(&state), Holder::of(&worker, None), &stores);
    assert_eq!(
        (verdict.need, verdict.broken),
        (Need::Completion, None),
        "{state:?}"
    );
}

/// Fails unless each of these files has all its blocks on that worker.
async fn all_there(master: &AlluxioMaster, files: &[String], host: &str) {
    for file in files {
        let state = status(master, file).await;
        assert!(
            state.blocks.iter().all(|block| block.hosts == [host]),
            "{file} gave way: {state:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn only_persisted_blocks_give_way_to_a_copy() {
    const MIB: u64 = 1 << 20;
    let world = World::running();
    let master = world.master();
    let here = TestWorker::start(world.address(), world.master_address(), false);
    let full = TestWorker::with_quota(world.address(), world.master_address(), 16 * MIB);
    let worker = registered(&master, &here.host).await;
    registered(&master, &full.host).await;
    let of =
        |kind: &str, count: u64| -> Vec<_> { (0..count).map(|n| path(&format!("{kind}-{n}"))).collect() };
    // 16 of 32 MiB exist nowhere else, 12 are in the under store too.
    let (only, persisted) = (of("only-there", 4), of("also-stored", 3));
    for file in &only {
        world.write_blocks(file, "MUST_CACHE", &full.host, 4, MIB).await;
    }
    for file in &persisted {
        world
            .write_blocks(file, "CACHE_THROUGH", &full.host, 4, MIB)
            .await;
    }
    all_there(&master, &only, &full.host).await;
    all_there(&master, &persisted, &full.host).await;

    let (large, small) = (path("_temporary/large"), path("_temporary/small"));
    world
        .write_blocks(&large, "MUST_CACHE", &here.host, 20, MIB)
        .await;
    world.write_blocks(&small, "MUST_CACHE", &here.host, 8, MIB).await;
    let refused = copied(&master, &large, &worker, None, &full).await;
    assert!(
        matches!(&refused, Copied::NoTarget(why) if why.contains("bytes free")),
        "{refused:?}"
    );
    all_there(&master, &persisted, &full.host).await;

    assert_eq!(copied(&master, &small, &worker, None, &full).await, Copied::Asked);
    eventually("the small file has its copy", SAVE_SECONDS, async || {
        let state = status(&master, &small).await;
        state.complete_without(&here.host).then_some(())
    })
    .await;
    all_there(&master, &only, &full.host).await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_decommissioned_worker_is_out_of_service_lists_its_files_and_may_come_back() {
    let world = World::running();
    let master = world.master();
    let mut test = TestWorker::start(world.address(), world.master_address(), false);
    let worker = registered(&master, &test.host).await;
    let file = path("only-copy");
    world.write(&file, "MUST_CACHE", &test.host, 1000).await;

    for _ in 0..2 {
        assert_eq!(master.decommission(&worker).await, Ok(Changed::Done));
        let seen = master
            .worker(&test.host)
            .await
            .expect("a report")
            .expect("still known");
        assert_eq!(seen.state, WorkerState::Decommissioned);
    }
    assert_eq!(all_files(&worker, 100).await.len(), 1);
    assert_eq!(block_hosts(&status(&master, &file).await), [Vec::<String>::new()]);

    test.restart();
    registered(&master, &test.host).await;
    eventually("the file is on its worker again", START_SECONDS, async || {
        (block_hosts(&status(&master, &file).await) == [vec![test.host.clone()]]).then_some(())
    })
    .await;
    let other = Worker {
        web_port: 1,
        ..worker
    };
    assert_eq!(master.decommission(&other).await, Ok(Changed::Gone));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_master_that_starts_or_stands_still_is_unavailable_and_then_asked_again() {
    let world = World::running();
    let host = world.address();
    let own = TestMaster::start(&host, "SIMPLE");
    let login = Login::Simple {
        user: ADMINISTRATOR.into(),
    };
    let master = AlluxioMaster::new(vec![own.address.clone()], login).expect("a master");
    let serving = async || match master.worker("203.0.113.9").await {
        Ok(found) => Some(found),
        Err(error) => {
            assert_eq!(error.name, ErrorName::AlluxioUnavailable, "{error}");
            None
        }
    };
    assert_eq!(
        eventually("the master serves", START_SECONDS, serving).await,
        None
    );

    own.pause();
    let asked = Instant::now();
    let error = master.worker("203.0.113.9").await.expect_err("no answer");
    assert_eq!(error.name, ErrorName::AlluxioUnavailable, "{error}");
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    own.go_on();
    eventually("the master goes on", START_SECONDS, serving).await;

    drop(own);
    let error = master.worker("203.0.113.9").await.expect_err("no master");
    assert_eq!(error.name, ErrorName::AlluxioUnavailable, "{error}");
    let _again = TestMaster::start(&host, "SIMPLE");
    eventually(
        "the new master serves, and the login is renewed",
        START_SECONDS,
        serving,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_master_without_login_is_asked_without_and_refuses_one() {
    let world = World::running();
    let own = TestMaster::start(&world.address(), "NOSASL");
    let master = |login| AlluxioMaster::new(vec![own.address.clone()], login).expect("a master");
    let open = master(Login::NoSasl);
    eventually("the master serves", START_SECONDS, async || {
        open.worker("203.0.113.9").await.ok()
    })
    .await;

    let simple = master(Login::Simple {
        user: ADMINISTRATOR.into(),
    });
    let error = simple.worker("203.0.113.9").await.expect_err("no login here");
    assert_eq!(error.name, ErrorName::AlluxioRefused, "{error}");
    assert!(error.message.contains("NOSASL"), "{error}");
}
