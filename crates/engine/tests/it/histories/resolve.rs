//! Makes a history of what was recorded, and holds every read against the state that it should have read.
//!
//! What a commit left behind is known once all commits before it are: so the states of the store are made anew, commit by commit,
//! and each read of a known state has to find what is in it, the transaction's own writes over it. Reads of which it cannot be
//! told what they saw (an absent row while others delete and insert) are left out: the checker must not be told guesses.

use std::collections::{BTreeMap, BTreeSet};

use codegraph_vector_testkit::history::{
    End, Event, History, Item, Level, Predicate, Read, Transaction, Version,
};

use super::record::{Ask, Bracket, Ending, ITEMS, Recorded, Seen};

type Check<T = ()> = Result<T, String>;

/// A row, or that there is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) version: Version,
    /// Of a row that is there.
    group: Option<usize>,
}

const UNBORN: Kept = Kept { version: Version::UNBORN, group: None };

/// The versions of all items, with the commits that installed them.
#[derive(Debug, Default)]
pub(super) struct States {
    installed: BTreeMap<Item, Vec<(u64, Kept)>>,
    /// Which transaction is which commit.
    commits: BTreeMap<u64, u64>,
}

impl States {
    fn at(&self, item: Item, commit: u64) -> Kept {
        let versions = self.installed.get(&item).map_or(&[][..], Vec::as_slice);
        versions.iter().rev().find(|(at, _)| *at <= commit).map_or(UNBORN, |(_, kept)| *kept)
    }

    /// All rows that are there after a commit.
    pub(super) fn rows(&self, commit: u64) -> BTreeMap<Item, Version> {
        let rows = ITEMS.map(|item| (item, self.at(item, commit)));
        rows.filter(|(_, kept)| kept.group.is_some()).map(|(item, kept)| (item, kept.version)).collect()
    }

    /// The last commit.
    pub(super) fn last(&self) -> u64 {
        self.commits.last_key_value().map_or(0, |(place, _)| *place)
    }

    /// What an item was at some time between two commits.
    fn during(&self, item: Item, (low, high): Bracket) -> Vec<Kept> {
        let later = self.installed.get(&item).into_iter().flatten();
        let later = later.filter(|(at, _)| (low + 1..=high).contains(at)).map(|(_, kept)| *kept);
        [self.at(item, low)].into_iter().chain(later).collect()
    }
}

/// A transaction's own writes.
#[derive(Clone, Debug, Default)]
struct Own {
    writes: Vec<(Item, Kept)>,
    savepoints: Vec<usize>,
}

impl Own {
    fn get(&self, item: Item) -> Option<Kept> {
        self.writes.iter().rev().find(|(own, _)| *own == item).map(|(_, kept)| *kept)
    }

    /// All items as they are after a commit, these writes over it.
    fn over(&self, states: &States, commit: u64) -> BTreeMap<Item, Kept> {
        ITEMS.map(|item| (item, self.get(item).unwrap_or_else(|| states.at(item, commit)))).collect()
    }
}

/// What all recorded transactions make.
pub(super) struct Resolved {
    pub(super) history: History,
    pub(super) states: States,
}

/// Makes sense of what was recorded.
pub(super) fn resolve(recorded: &[Recorded]) -> Check<Resolved> {
    let groups = groups(recorded);
    let states = install(recorded, &groups)?;
    let mut transactions = Vec::new();
    for one in recorded {
        let place = match one.ending {
            Ending::Committed(seqno) => (states.commits.get(&seqno) == Some(&one.id)).then_some(seqno),
            Ending::Aborted => None,
        };
        let resolver = Resolver { one, place, groups: &groups, states: &states };
        let resolved = resolver.transaction().map_err(|error| format!("transaction {}: {error}", one.id))?;
        transactions.push(resolved);
    }
    let history = History { transactions, ..History::default() };
    Ok(Resolved { history: without_strangers(history), states })
}

/// The groups of all versions that are rows.
fn groups(recorded: &[Recorded]) -> BTreeMap<Version, usize> {
    let mut groups = BTreeMap::new();
    for seen in recorded.iter().flat_map(|one| &one.seen) {
        match seen {
            Seen::Put { version, group, .. } | Seen::Update { version, group, .. } => {
                groups.insert(*version, *group);
            }
            Seen::Replace { put: Some((_, version)), group, .. } => {
                groups.insert(*version, *group);
            }
            _ => {}
        }
    }
    groups
}

/// Whether a transaction made a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Sure,
    /// It deleted what it had put itself, and there may have been nothing before: then the receipt is of the commit before.
    Unsure,
    None,
}

fn effect(one: &Recorded) -> Effect {
    // What was written, put or deleted, in order; the rows that a predicate write deleted are nobody's.
    let (mut own, mut savepoints) = (Vec::new(), Vec::new());
    for seen in &one.seen {
        match seen {
            Seen::Put { item, .. } | Seen::Update { item, .. } => own.push((Some(*item), true)),
            Seen::Delete { item, .. } => own.push((Some(*item), false)),
            Seen::Replace { put, deleted, .. } => {
                own.extend(deleted.filter(|deleted| *deleted > 0).map(|_| (None, false)));
                own.extend(put.map(|(item, _)| (Some(item), true)));
            }
            Seen::Savepoint => savepoints.push(own.len()),
            Seen::RollBack => own.truncate(savepoints.last().copied().unwrap_or(0)),
            _ => {}
        }
    }
    // What is put and not deleted afterwards stays; what is deleted first was somebody else's.
    let is_sure = |(at, (item, is_put)): (usize, &(Option<Item>, bool))| match is_put {
        true => !own[at..].iter().any(|(other, is_put)| !is_put && (other == item || other.is_none())),
        false => !own[..at].iter().any(|(other, is_put)| *is_put && (other == item || item.is_none())),
    };
    match own.iter().enumerate().any(is_sure) {
        true => Effect::Sure,
        false if own.is_empty() => Effect::None,
        false => Effect::Unsure,
    }
}

/// Makes the states, commit by commit.
fn install(recorded: &[Recorded], groups: &BTreeMap<Version, usize>) -> Check<States> {
    let mut states = States::default();
    let of = |one| match (effect(one), one.ending) {
        (Effect::None, _) | (_, Ending::Aborted) => None,
        (effect, Ending::Committed(seqno)) => Some((seqno, effect, one)),
    };
    let mut committed: Vec<(u64, Effect, &Recorded)> = recorded.iter().filter_map(of).collect();
    committed.sort_by_key(|(seqno, effect, one)| (*seqno, *effect, one.id));
    for (seqno, effect, one) in committed {
        if effect == Effect::Unsure && (seqno == 0 || states.commits.contains_key(&seqno)) {
            continue; // The receipt of a commit that changed nothing names the one before.
        }
        let resolver = Resolver { one, place: Some(seqno), groups, states: &states };
        let own = match resolver.events() {
            Ok((_, own)) => own,
            Err(_) if effect == Effect::Unsure => continue,
            Err(error) => return Err(format!("transaction {}: {error}", one.id)),
        };
        let last: BTreeMap<Item, Kept> = own.writes.into_iter().collect();
        let changes =
            |(item, kept): &(Item, Kept)| kept.group.is_some() || states.at(*item, seqno).group.is_some();
        let last: Vec<(Item, Kept)> = last.into_iter().filter(changes).collect();
        if last.is_empty() {
            continue;
        }
        if let Some(other) = states.commits.insert(seqno, one.id) {
            return Err(format!("transactions {other} and {} are both commit {seqno}", one.id));
        }
        for (item, kept) in last {
            states.installed.entry(item).or_default().push((seqno, kept));
        }
    }
    Ok(states)
}

/// Makes events of one transaction's statements.
struct Resolver<'a> {
    one: &'a Recorded,
    /// The commit that it is, if it is one.
    place: Option<u64>,
    groups: &'a BTreeMap<Version, usize>,
    states: &'a States,
}

impl Resolver<'_> {
    /// The commit that all reads are of, if they are of one and it is known.
    fn snapshot(&self) -> Option<u64> {
        // A transaction that ended early may not have been told.
        let of_first = || self.one.first.filter(|(low, high)| low == high).map(|(low, _)| low);
        (self.one.level >= Level::RepeatableRead).then(|| self.one.snapshot.or_else(of_first)).flatten()
    }

    /// The commit that its writes found, if it is known: nobody else can write what is locked.
    fn written_over(&self) -> Option<u64> {
        self.snapshot().or_else(|| self.place.map(|place| place - 1))
    }

    fn transaction(&self) -> Check<Transaction> {
        let (mut events, own) = self.events()?;
        let end = match self.one.ending {
            Ending::Aborted => End::Aborted,
            Ending::Committed(_) => End::Committed(self.place),
        };
        if end != End::Aborted {
            // What it put and deleted again, and was not there before, was never there to others.
            let left = |item: Item| self.place.map(|place| self.states.at(item, place));
            let gone = own.writes.iter().rev().filter(|(item, _)| left(*item) != own.get(*item));
            events.extend(gone.map(|(_, kept)| Event::Undo(kept.version)));
        }
        if let (Some(snapshot), Some((low, high))) = (self.one.snapshot, self.one.first)
            && !(low..=high).contains(&snapshot)
        {
            return Err(format!("reads commit {snapshot}, but {low} to {high} were visible when it began"));
        }
        Ok(Transaction { id: self.one.id, level: self.one.level, events, end })
    }

    /// The events, and what it has written in the end.
    fn events(&self) -> Check<(Vec<Event>, Own)> {
        let (mut own, mut events) = (Own::default(), Vec::new());
        for seen in &self.one.seen {
            match seen {
                Seen::Savepoint => own.savepoints.push(own.writes.len()),
                Seen::RollBack => {
                    let mark = *own.savepoints.last().ok_or("rolls back to nowhere")?;
                    let undone = own.writes.drain(mark..).rev();
                    events.extend(undone.map(|(_, kept)| Event::Undo(kept.version)));
                }
                Seen::Put { item, version, .. } | Seen::Delete { item, version } => {
                    self.write(*item, *version, &mut own, &mut events);
                }
                Seen::Update { item, version, group } => {
                    let below = || Some(self.states.at(*item, self.written_over()?));
                    if let Some(before) = own.get(*item).or_else(below)
                        && before.group != Some(*group)
                    {
                        return Err(format!(
                            "the update of {item} kept group {group}, but it was {before:?}"
                        ));
                    }
                    self.write(*item, *version, &mut own, &mut events);
                }
                Seen::Replace { .. } => {
                    if !self.replace(seen, &mut own, &mut events)? {
                        // What it deleted is not known, so neither is what it saw from then on.
                        break;
                    }
                }
                read => events.extend(self.read(read, &own)?.map(Event::Read)),
            }
        }
        Ok((events, own))
    }

    fn write(&self, item: Item, version: Version, own: &mut Own, events: &mut Vec<Event>) {
        let kept = Kept { version, group: self.groups.get(&version).copied() };
        own.writes.push((item, kept));
        events.push(Event::Write { item, version, is_delete: kept.group.is_none() });
    }

    /// A predicate write; returns whether it is known what it did.
    fn replace(&self, seen: &Seen, own: &mut Own, events: &mut Vec<Event>) -> Check<bool> {
        let Seen::Replace { group, put, dead, deleted } = seen else { return Ok(false) };
        if *deleted == Some(0) && put.is_none() {
            return Ok(true);
        }
        let Some(found) = self.written_over() else { return Ok(false) };
        let versions = own.over(self.states, found);
        let stays = put.map(|(item, _)| item);
        let is_doomed = |(item, kept): &(&Item, &Kept)| kept.group == Some(*group) && Some(**item) != stays;
        let doomed: Vec<Item> = versions.iter().filter(is_doomed).map(|(item, _)| *item).collect();
        if deleted.is_some_and(|deleted| deleted != doomed.len() as u64) {
            return Err(format!("{seen:?} should have deleted {doomed:?} at commit {found}"));
        }
        let fits = |_: Version, of: usize| of == *group;
        let predicate = self.predicate(&versions, Some(Level::Serializable), fits);
        events.push(Event::Read(Read { rows: BTreeMap::new(), predicate: Some(predicate) }));
        for item in doomed {
            self.write(item, Version(dead + item as u64), own, events);
        }
        if let Some((item, version)) = put {
            self.write(*item, *version, own, events);
        }
        Ok(true)
    }

    fn predicate(
        &self,
        versions: &BTreeMap<Item, Kept>,
        level: Option<Level>,
        fits: impl Fn(Version, usize) -> bool,
    ) -> Predicate {
        let fitting = self.groups.iter().filter(|(version, group)| fits(**version, **group));
        Predicate {
            versions: versions.iter().map(|(item, kept)| (*item, kept.version)).collect(),
            fitting: fitting.map(|(version, _)| *version).collect(),
            level,
        }
    }

    /// The commit that a statement read, if it can be told.
    fn state_of(&self, at: Bracket) -> Option<u64> {
        match self.one.level {
            Level::ReadUncommitted => None,
            Level::ReadCommitted => (at.0 == at.1).then_some(at.0),
            _ => self.snapshot(),
        }
    }

    /// What a statement read, if it can be told.
    fn read(&self, seen: &Seen, own: &Own) -> Check<Option<Read>> {
        match seen {
            Seen::Get { item, version, at } => self.get(*item, *version, *at, own),
            Seen::Search { ask, found, seqno, at } => self.search(ask, found, *seqno, *at, own).map(Some),
            Seen::Count { group, count, at } => {
                let Some((members, predicate)) = self.group(*group, *at, own) else { return Ok(None) };
                if members.len() as u64 != *count {
                    return Err(format!("{seen:?}, but there are {members:?}"));
                }
                Ok(Some(Read { rows: BTreeMap::new(), predicate: Some(predicate) }))
            }
            Seen::Ids { group, ids, at } => {
                let Some((members, predicate)) = self.group(*group, *at, own) else { return Ok(None) };
                if !members.keys().eq(ids) {
                    return Err(format!("{seen:?}, but there are {members:?}"));
                }
                Ok(Some(Read { rows: members, predicate: Some(predicate) }))
            }
            _ => Ok(None),
        }
    }

    /// Who is in a group, where it can be told which state was read.
    fn group(&self, group: usize, at: Bracket, own: &Own) -> Option<(BTreeMap<Item, Version>, Predicate)> {
        let versions = own.over(self.states, self.state_of(at)?);
        let members = versions.iter().filter(|(_, kept)| kept.group == Some(group));
        let members = members.map(|(item, kept)| (*item, kept.version)).collect();
        Some((members, self.predicate(&versions, None, |_, of| of == group)))
    }

    fn get(&self, item: Item, version: Option<Version>, at: Bracket, own: &Own) -> Check<Option<Read>> {
        let row = |version| Some(Read { rows: BTreeMap::from([(item, version)]), predicate: None });
        let possible = match (own.get(item), self.one.level) {
            (Some(own), _) => vec![own],
            (None, Level::ReadUncommitted) => return Ok(version.and_then(row)),
            (None, Level::ReadCommitted) => self.states.during(item, at),
            (None, _) => match self.snapshot() {
                Some(snapshot) => vec![self.states.at(item, snapshot)],
                None => return Ok(version.and_then(row)),
            },
        };
        let fits = |kept: &&Kept| match version {
            Some(version) => kept.version == version,
            None => kept.group.is_none(),
        };
        match possible.iter().filter(fits).collect::<Vec<_>>()[..] {
            [] => Err(format!("read {item} as {version:?} within commits {at:?}, where it was {possible:?}")),
            [one] => Ok(row(one.version)),
            _ => Ok(None),
        }
    }

    fn search(
        &self,
        ask: &Ask,
        found: &[(Item, Version)],
        seqno: u64,
        at: Bracket,
        own: &Own,
    ) -> Check<Read> {
        let rows: BTreeMap<Item, Version> = found.iter().copied().collect();
        if self.one.level == Level::ReadUncommitted {
            return Ok(Read { rows, predicate: None });
        }
        if self.one.level == Level::ReadCommitted && !(at.0..=at.1).contains(&seqno) {
            return Err(format!("searched commit {seqno}, but {at:?} were visible"));
        }
        if self.snapshot().is_some_and(|snapshot| snapshot != seqno) {
            return Err(format!("searched commit {seqno}, but its snapshot is {:?}", self.snapshot()));
        }
        let versions = own.over(self.states, seqno);
        let in_group = |group: Option<usize>| group.is_some() && (ask.group.is_none() || ask.group == group);
        let mut expected: Vec<(Item, Version)> = versions
            .iter()
            .filter(|(_, kept)| in_group(kept.group))
            .map(|(item, kept)| (*item, kept.version))
            .collect();
        expected.sort_by_key(|(_, version)| ask.distance(*version));
        let limit = ask.near.map_or(usize::MAX, |(_, limit)| limit);
        expected.truncate(limit);
        if expected != found {
            return Err(format!("{ask:?} at commit {seqno} found {found:?} instead of {expected:?}"));
        }
        let reach = found.last().filter(|_| found.len() == limit).map(|(_, last)| ask.distance(*last));
        let fits = |version: Version, group: usize| {
            in_group(Some(group)) && reach.is_none_or(|reach| ask.distance(version) <= reach)
        };
        Ok(Read { rows, predicate: Some(self.predicate(&versions, None, fits)) })
    }
}

/// Without reads of versions whose writers were not recorded: they are of a process that is gone, and only dirty reads saw them.
fn without_strangers(mut history: History) -> History {
    let written = history.transactions.iter().flat_map(|transaction| &transaction.events);
    let written: BTreeSet<Version> = written
        .filter_map(|event| match event {
            Event::Write { version, .. } => Some(*version),
            _ => None,
        })
        .collect();
    for transaction in &mut history.transactions {
        if transaction.level == Level::ReadUncommitted {
            let reads = transaction.events.iter_mut().filter_map(|event| match event {
                Event::Read(read) => Some(read),
                _ => None,
            });
            reads.for_each(|read| read.rows.retain(|_, version| written.contains(version)));
        }
    }
    history
}
