//! Histories as text, one transaction a line, so that a failure can be read, shortened by hand, and checked again.
//!
//! ```text
//! 1 serializable: w(7:10) d(8:11) undo(11) commit(1)
//! 2 read_committed: r(7:10 8:0) s(7:10; 7:10 8:0; 10 14) abort
//! order 7: 12 10
//! ```
//!
//! `w` writes item 7 in version 10, `d` deletes, `undo` takes a version back, `r` reads rows at once. `s` searches: the rows it
//! returned; the version that it went by of each item; all versions that fit; and maybe a level. Version 0 is unborn.

use std::fmt;
use std::str::FromStr;

use super::{End, Event, History, Item, Predicate, Read, Transaction, Version};

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transactions.iter().try_for_each(|transaction| writeln!(f, "{transaction}"))?;
        for (item, versions) in &self.orders {
            writeln!(f, "order {item}: {}", words(versions.iter().map(|version| version.0.to_string())))?;
        }
        Ok(())
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.id, self.level)?;
        self.events.iter().try_for_each(|event| write!(f, " {event}"))?;
        match self.end {
            End::Committed(Some(place)) => write!(f, " commit({place})"),
            End::Committed(None) => f.write_str(" commit"),
            End::Aborted => f.write_str(" abort"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = |of: &std::collections::BTreeMap<Item, Version>| {
            words(of.iter().map(|(item, version)| format!("{item}:{}", version.0)))
        };
        match self {
            Event::Write { item, version, is_delete: false } => write!(f, "w({item}:{})", version.0),
            Event::Write { item, version, is_delete: true } => write!(f, "d({item}:{})", version.0),
            Event::Undo(version) => write!(f, "undo({})", version.0),
            Event::Read(Read { rows, predicate: None }) => write!(f, "r({})", pairs(rows)),
            Event::Read(Read { rows, predicate: Some(Predicate { versions, fitting, level }) }) => {
                let fitting = words(fitting.iter().map(|version| version.0.to_string()));
                write!(f, "s({}; {}; {fitting}", pairs(rows), pairs(versions))?;
                level.iter().try_for_each(|level| write!(f, "; {level}"))?;
                f.write_str(")")
            }
        }
    }
}

fn words(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut history = History::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (head, rest) = line.split_once(':').ok_or_else(|| format!("no colon: {line}"))?;
            match head.split_once(' ') {
                Some(("order", item)) => {
                    let versions = rest.split_whitespace().map(version).collect::<Result<_, _>>()?;
                    history.orders.insert(number(item)?, versions);
                }
                Some((id, level)) => {
                    let (events, end) = events(rest)?;
                    let (id, level) = (number(id)?, level.parse()?);
                    history.transactions.push(Transaction { id, level, events, end });
                }
                None => return Err(format!("no level: {line}")),
            }
        }
        Ok(history)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no number"))
}

fn version(text: &str) -> Result<Version, String> {
    number(text).map(Version)
}

fn pair(text: &str) -> Result<(Item, Version), String> {
    let (item, of) = text.split_once(':').ok_or_else(|| format!("{text:?} is no item:version"))?;
    Ok((number(item)?, version(of)?))
}

fn pairs<C: FromIterator<(Item, Version)>>(text: &str) -> Result<C, String> {
    text.split_whitespace().map(pair).collect()
}

fn events(text: &str) -> Result<(Vec<Event>, End), String> {
    let mut events = Vec::new();
    let mut rest = text.trim();
    loop {
        match rest {
            "commit" => return Ok((events, End::Committed(None))),
            "abort" => return Ok((events, End::Aborted)),
            _ => {}
        }
        let (event, after) = rest.split_once(')').ok_or_else(|| format!("it has no end: {text}"))?;
        let (kind, inside) = event.split_once('(').ok_or_else(|| format!("{event:?} is no event"))?;
        rest = after.trim();
        match kind {
            "commit" => return Ok((events, End::Committed(Some(number(inside)?)))),
            "w" | "d" => {
                let (item, version) = pair(inside)?;
                events.push(Event::Write { item, version, is_delete: kind == "d" });
            }
            "undo" => events.push(Event::Undo(version(inside)?)),
            "r" => events.push(Event::Read(Read { rows: pairs(inside)?, predicate: None })),
            "s" => {
                let mut parts = inside.split(';');
                let mut part = || parts.next().unwrap_or_default();
                let (rows, versions) = (pairs(part())?, pairs(part())?);
                let fitting = part().split_whitespace().map(version).collect::<Result<_, _>>()?;
                let level = match part().trim() {
                    "" => None,
                    level => Some(level.parse()?),
                };
                let predicate = Some(Predicate { versions, fitting, level });
                events.push(Event::Read(Read { rows, predicate }));
            }
            _ => return Err(format!("{kind:?} is no kind of event")),
        }
    }
}
