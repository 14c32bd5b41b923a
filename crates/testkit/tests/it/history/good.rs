//! Executions of small models of databases: serial ones show nothing, those of weaker kinds nothing that their kind
//! forbids, and now and then all that it allows.

use std::collections::{BTreeMap, BTreeSet};

use codegraph_vector_testkit::Rng;
use codegraph_vector_testkit::history::{
    Class, End, Event, History, Item, Level, Predicate, Read, Transaction, Version,
};

use super::{found, shown};

const ITEMS: Item = 5;
const SEEDS: u64 = 2_000;

/// How the model runs transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One after the other.
    Serial,
    /// Each reads what was committed when it began, and the first committer wins.
    Snapshot,
    /// Each statement reads what is committed, and writes wait for each other.
    Committed,
    /// Statements read whatever was written last.
    Dirty,
}

/// A transaction that the model runs.
struct Running {
    transaction: Transaction,
    /// What it has written, in order.
    own: Vec<(Item, Version)>,
    /// The commit after which it began.
    began: u64,
    statements: usize,
}

/// A database that keeps every version.
struct Model {
    rng: Rng,
    kind: Kind,
    /// For each item the commits that wrote it.
    committed: BTreeMap<Item, Vec<(u64, Version)>>,
    /// Colours of versions, which searches go by; deletes have none.
    colours: BTreeMap<Version, u8>,
    commits: u64,
    versions: u64,
    running: Vec<Running>,
    done: Vec<Transaction>,
}

impl Model {
    fn at(&self, item: Item, commit: u64) -> Version {
        let versions = self.committed.get(&item).map_or(&[][..], Vec::as_slice);
        versions.iter().rev().find(|(at, _)| *at <= commit).map_or(Version::UNBORN, |(_, version)| *version)
    }

    fn sees(&self, who: usize, item: Item) -> Version {
        let of = |running: &Running| {
            running.own.iter().rev().find(|(own, _)| *own == item).map(|(_, version)| *version)
        };
        let running = &self.running[who];
        let others = || self.running.iter().find_map(of).filter(|_| self.kind == Kind::Dirty);
        let commit = if self.kind == Kind::Snapshot { running.began } else { self.commits };
        of(running).or_else(others).unwrap_or_else(|| self.at(item, commit))
    }

    fn statement(&mut self, who: usize) {
        let item = self.rng.below(ITEMS as usize) as Item;
        let event = match self.rng.below(10) {
            0..4 => {
                Event::Read(Read { rows: BTreeMap::from([(item, self.sees(who, item))]), predicate: None })
            }
            4..6 => self.search(who),
            6 if !self.running[who].own.is_empty() => {
                let (_, version) = self.running[who].own.pop().unwrap();
                Event::Undo(version)
            }
            _ => match self.write(who, item) {
                Some(event) => event,
                None => return,
            },
        };
        self.running[who].transaction.events.push(event);
    }

    fn search(&mut self, who: usize) -> Event {
        let colour = self.rng.below(2) as u8;
        let versions: BTreeMap<Item, Version> = (0..ITEMS).map(|item| (item, self.sees(who, item))).collect();
        let fits = |version: &Version| self.colours.get(version) == Some(&colour);
        let rows =
            versions.iter().filter(|(_, version)| fits(version)).map(|(item, of)| (*item, *of)).collect();
        // What fits is known at the end only; until then the colour is kept in its place.
        let fitting = BTreeSet::from([Version(u64::from(colour))]);
        Event::Read(Read { rows, predicate: Some(Predicate { versions, fitting, level: None }) })
    }

    fn write(&mut self, who: usize, item: Item) -> Option<Event> {
        let is_held = |running: &Running| running.own.iter().any(|(own, _)| *own == item);
        let held = (0..self.running.len()).any(|other| other != who && is_held(&self.running[other]));
        let changed = self.at(item, self.commits) != self.at(item, self.running[who].began);
        if held || (self.kind == Kind::Snapshot && changed) {
            return None;
        }
        self.versions += 1;
        let version = Version(100 + self.versions);
        let is_delete = self.rng.chance(0.3);
        if !is_delete {
            self.colours.insert(version, self.rng.below(2) as u8);
        }
        self.running[who].own.push((item, version));
        Some(Event::Write { item, version, is_delete })
    }

    fn end(&mut self, who: usize) {
        let Running { mut transaction, own, .. } = self.running.swap_remove(who);
        if !self.rng.chance(0.2) {
            if own.is_empty() {
                transaction.end = End::Committed(None);
            } else {
                self.commits += 1;
                transaction.end = End::Committed(Some(self.commits));
            }
            // In order, so that of an item's versions the last is kept.
            for (item, version) in own.into_iter().collect::<BTreeMap<_, _>>() {
                self.committed.entry(item).or_default().push((self.commits, version));
            }
        }
        self.done.push(transaction);
    }

    /// What was done, with all that fits each search.
    fn history(self) -> History {
        let mut history = History { transactions: self.done, ..History::default() };
        for event in history.transactions.iter_mut().flat_map(|transaction| &mut transaction.events) {
            if let Event::Read(Read { predicate: Some(predicate), .. }) = event {
                let colour = predicate.fitting.first().map(|colour| colour.0 as u8);
                let fits = |of: &&Version| self.colours.get(of).copied() == colour;
                predicate.fitting = self.colours.keys().filter(fits).copied().collect();
            }
        }
        history
    }
}

fn run(seed: u64, kind: Kind) -> History {
    let mut model = Model {
        rng: Rng::new(seed),
        kind,
        committed: BTreeMap::new(),
        colours: BTreeMap::new(),
        commits: 0,
        versions: 0,
        running: Vec::new(),
        done: Vec::new(),
    };
    let at_once = if kind == Kind::Serial { 1 } else { 4 };
    let mut begun = 0;
    while begun < 12 || !model.running.is_empty() {
        if begun < 12 && model.running.len() < at_once {
            begun += 1;
            let transaction =
                Transaction { id: begun, level: Level::Serializable, events: Vec::new(), end: End::Aborted };
            let statements = model.rng.between(1, 6);
            model.running.push(Running { transaction, own: Vec::new(), began: model.commits, statements });
        }
        let who = model.rng.below(model.running.len());
        match model.running[who].statements {
            0 => model.end(who),
            left => {
                model.running[who].statements = left - 1;
                model.statement(who);
            }
        }
    }
    model.history()
}

/// Everything that so many executions show. None may show what its kind forbids.
fn all(kind: Kind, forbidden: &[Class]) -> BTreeSet<Class> {
    let mut all = BTreeSet::new();
    for seed in 0..SEEDS {
        let history = run(seed, kind);
        let shown = shown(&history);
        assert!(
            shown.iter().all(|class| !forbidden.contains(class)),
            "{kind:?}, seed {seed}: {shown:?}\n{history}"
        );
        all.extend(shown);
    }
    all
}

#[test]
fn serial_executions_are_clean_at_every_level() {
    for seed in 0..SEEDS {
        let history = run(seed, Kind::Serial);
        for level in Level::ALL {
            assert_eq!(found(&history.at(level)), [], "seed {seed}\n{history}");
        }
    }
}

#[test]
fn snapshots_allow_write_skew_and_no_more() {
    use Class::{G0, G1a, G1b, G1c, G2, G2Item, GSingle, Otv, P4, Pmp};
    let shown = all(Kind::Snapshot, &[G0, G1a, G1b, G1c, Otv, Pmp, P4, GSingle]);
    assert_eq!(shown, BTreeSet::from([G2Item, G2]));
}

#[test]
fn statements_of_committed_rows_allow_all_but_dirty_reads() {
    use Class::{G0, G1a, G1b, G1c, G2, G2Item, GSingle, Otv, P4, Pmp};
    let shown = all(Kind::Committed, &[G0, G1a, G1b, G1c, Otv]);
    assert_eq!(shown, BTreeSet::from([Pmp, P4, GSingle, G2Item, G2]));
}

#[test]
fn dirty_reads_allow_all_but_dirty_writes() {
    let shown = all(Kind::Dirty, &[Class::G0]);
    assert_eq!(shown, Class::ALL.into_iter().filter(|class| *class != Class::G0).collect());
}
