//! A look through the files of all caches, and what is carried from call to call.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fate::Fate;
use crate::cache::{Amount, CLEAN_PASSES, FileState, Flow, Losses, Pass, Pending, Totals};

/// One look through the files of all caches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Round {
    /// When it began.
    pub began_at: Option<Timestamp>,
    /// Hosts whose files have been looked through.
    pub looked: Vec<String>,
    /// Hosts of which a part has.
    pub under_way: BTreeMap<String, Pass>,
    /// Can be written to the under store.
    pub persist: Amount,
    /// Cannot be yet.
    pub not_yet: Losses,
    /// Never can be.
    pub never: Losses,
    /// Were broken before. They are in nobody's way.
    pub broken: Losses,
    /// Found at a host where they are not counted, and counted at another if that holds them still: so much has to be saved.
    pub elsewhere: u64,
    /// The same of what never can be.
    pub never_elsewhere: u64,
    /// Files that no worker could name.
    pub unnamed_files: u64,
    /// Workers that did not tell their files, where that is accepted.
    pub unseen: Vec<String>,
}

impl Round {
    /// Notes what becomes of a file that a host holds, and whether it is counted there.
    pub fn note(&mut self, path: &str, bytes: u64, fate: Fate, counts: bool) {
        match fate {
            Fate::Broken(broken) if counts => self.broken.note(path, bytes, &broken.to_string()),
            Fate::Safe | Fate::Broken(_) => {}
            Fate::Persist | Fate::NotYet(_) if !counts => self.elsewhere += 1,
            Fate::Never(_) if !counts => self.never_elsewhere += 1,
            Fate::Persist => self.persist.add(bytes),
            Fate::NotYet(why) => self.not_yet.note(path, bytes, why),
            Fate::Never(why) => self.never.note(path, bytes, why),
        }
    }

    /// Keeps as many names as are told and carried.
    pub fn tidy(&mut self) {
        self.never.tidy();
        self.not_yet.tidy();
        self.broken.tidy();
    }

    /// Notes that a host's files have been looked through.
    pub fn looked_through(&mut self, host: &str, pass: &Pass) {
        self.unnamed_files += pass.unnamed_files;
        self.looked.push(host.to_owned());
        self.under_way.remove(host);
    }

    /// Whether nothing has to be saved any more. `accepts`: what can never be may be lost; `all`: anything may.
    #[must_use]
    pub const fn clean(&self, accepts: bool, all: bool) -> bool {
        let saved = self.persist.files == 0 && self.not_yet.files == 0 && self.elsewhere == 0;
        let lost = self.never.files + self.never_elsewhere;
        all || saved && (accepts || lost == 0)
    }

    /// What is lost when nothing is saved any more.
    #[must_use]
    pub fn lost(&self) -> Losses {
        let mut lost = self.never.clone();
        lost.add(&self.not_yet);
        // These were asked for to the last; which they are nobody has kept.
        lost.files += self.persist.files;
        lost.bytes += self.persist.bytes;
        lost
    }
}

/// Whether a file is counted at that host: a file with blocks on several is counted at the first of those that go.
#[must_use]
pub fn counted_at(file: &FileState, host: &str, goes: impl Fn(&str) -> bool) -> bool {
    let holders = file
        .blocks
        .iter()
        .flat_map(|block| &block.hosts)
        .map(String::as_str);
    holders
        .filter(|holder| goes(holder))
        .min()
        .is_none_or(|first| first == host)
}

/// What is carried from call to call. It only saves work and counts: without it the same end is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// The look that the last call did not end.
    pub round: Option<Round>,
    /// That look is about caches out of service.
    pub out_of_service: bool,
    /// Clean looks in a row, in service.
    pub clean_rounds: u32,
    /// What was asked to be written and is not there yet.
    pub pending: Vec<Pending>,
    /// How much is asked for at a time.
    pub flow: Flow,
    /// What has been saved.
    pub saved: Totals,
    /// When the last look at caches in service began, if every worker that has a pod was in service then.
    pub settled_at: Option<Timestamp>,
    /// Since when no cache is in service.
    pub out_since: Option<Timestamp>,
    /// Their clients were done when the look began.
    pub clients_done: bool,
    /// What goes with the caches, once they are done with.
    pub lost: Losses,
    /// What was broken before.
    pub broken: Losses,
    /// Caches of which that is not known.
    pub unseen: Vec<String>,
    /// Since when what is left has been looked for.
    pub proving_since: Option<Timestamp>,
}

impl Progress {
    /// Notes whether caches are in service: what was seen of the others counts for nothing then.
    pub fn turn(&mut self, out_of_service: bool) {
        if self.out_of_service != out_of_service {
            self.round = None;
            self.clean_rounds = 0;
            self.out_of_service = out_of_service;
        }
        if !out_of_service {
            self.out_since = None;
            self.settled_at = None;
            self.clients_done = false;
        }
    }

    /// Notes the end of a look at caches in service; answers whether they may be taken out of it. Deleted files vanish
    /// from the list of such a worker within seconds, so one without a name may be any file.
    pub fn passed(&mut self, clean: bool) -> bool {
        self.clean_rounds = if clean { self.clean_rounds + 1 } else { 0 };
        self.clean_rounds >= CLEAN_PASSES
    }

    /// Notes that a file has been asked for.
    pub fn asked(&mut self, pending: Pending) {
        let now = pending.asked_at;
        self.pending.push(pending);
        self.flow.asked(&self.pending, now);
    }

    /// Notes that a file has reached the under store.
    pub fn saved(&mut self, file: &Pending, now: Timestamp) {
        self.saved.persisted_files += 1;
        self.saved.persisted_bytes += file.bytes;
        self.flow.saved(file, true, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Block, Broken};

    fn on(hosts: &[&str]) -> Block {
        Block {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            known: true,
            ..Block::default()
        }
    }

    fn round(fates: &[Fate]) -> Round {
        let mut round = Round::default();
        for fate in fates {
            round.note("/a", 10, *fate, true);
        }
        round
    }

    #[test]
    fn a_round_is_clean_when_nothing_has_to_be_saved() {
        assert!(round(&[Fate::Safe]).clean(false, false));
        assert!(!round(&[Fate::Persist]).clean(true, false));
        assert!(!round(&[Fate::NotYet("why")]).clean(true, false));
    }

    #[test]
    fn what_can_never_be_saved_is_in_the_way_unless_its_loss_is_accepted() {
        assert!(!round(&[Fate::Never("why")]).clean(false, false));
        assert!(round(&[Fate::Never("why")]).clean(true, false));
    }

    #[test]
    fn when_the_time_is_over_and_loss_is_accepted_anything_may_be_lost_and_is_counted() {
        let round = round(&[Fate::Never("why"), Fate::NotYet("why"), Fate::Persist]);
        assert!(round.clean(true, true));
        assert_eq!((round.lost().files, round.lost().bytes), (3, 30));
    }

    #[test]
    fn what_was_broken_before_is_in_nobodys_way_and_no_loss() {
        let broken = Fate::Broken(Broken {
            lost_blocks: 1,
            blocks: 2,
        });
        let round = round(&[broken]);
        assert!(round.clean(false, false));
        assert_eq!((round.broken.files, round.lost().files), (1, 0));
    }

    #[test]
    fn a_file_that_is_counted_elsewhere_is_in_the_way_all_the_same() {
        for fate in [Fate::Persist, Fate::NotYet("why"), Fate::Never("why")] {
            let mut round = Round::default();
            round.note("/a", 10, fate, false);
            assert!(!round.clean(false, false), "{fate:?}");
            assert_eq!(round.lost().files, 0);
        }
    }

    #[test]
    fn a_file_on_several_hosts_is_counted_at_one_of_those_that_go() {
        let file = FileState {
            path: "/a".into(),
            length: 1,
            completed: true,
            persisted: false,
            persisting: false,
            folder: false,
            blocks: vec![on(&["c", "b"]), on(&["a"])],
            ..FileState::default()
        };
        let goes = |host: &str| host != "a";
        let counted: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .filter(|host| counted_at(&file, host, goes))
            .collect();
        assert_eq!(counted, ["b"]);
        let nowhere = FileState {
            blocks: vec![on(&[])],
            ..file
        };
        assert!(counted_at(&nowhere, "c", goes), "whoever holds it tells of it");
    }

    #[test]
    fn a_host_that_was_looked_through_is_not_under_way() {
        let mut round = Round::default();
        let pass = Pass {
            unnamed_files: 2,
            ..Pass::default()
        };
        round.under_way.insert("a".into(), pass.clone());
        round.looked_through("a", &pass);
        assert!(round.under_way.is_empty());
        assert_eq!((round.looked, round.unnamed_files), (vec!["a".to_owned()], 2));
    }

    #[test]
    fn two_clean_rounds_in_a_row_are_needed() {
        let mut progress = Progress::default();
        assert!(!progress.passed(true));
        assert!(!progress.passed(false));
        assert!(!progress.passed(true));
        assert!(progress.passed(true));
    }

    #[test]
    fn a_worker_that_comes_back_makes_all_looks_before_count_for_nothing() {
        let mut progress = Progress {
            out_of_service: true,
            round: Some(Round::default()),
            clean_rounds: 2,
            out_since: Some(Timestamp::UNIX_EPOCH),
            settled_at: Some(Timestamp::UNIX_EPOCH),
            clients_done: true,
            ..Progress::default()
        };
        progress.turn(true);
        assert!(progress.round.is_some(), "nothing has changed");
        progress.turn(false);
        assert_eq!(progress, Progress::default());
    }
}
