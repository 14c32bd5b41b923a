//! Pins: named places in the feed from which the log is kept, over restarts.
//!
//! A pin is a text in the manifest: the cursor, and from where on the log has all that the changes behind it need: the
//! group of the next one, or the PREPARE record of a transaction that had not been decided there. It is lost once the log
//! does not begin before that any more, which needs no mark; so a pin that asks for too much costs no write when it is let go.

use std::collections::BTreeMap;

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, TxnId, limits};
use codegraph_vector_storage::manifest::Manifest;
use codegraph_vector_storage::wal;

use super::cursor::{ChangesFrom, Cursor};
use super::locate::Mark;
use crate::store::configure::check_name;
use crate::store::core::Core;

/// A named place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePin {
    /// Its name.
    pub name: String,
    /// The last change that its owner has seen.
    pub cursor: Cursor,
    /// Whether the log no longer has the changes behind it: it asked for more than `max_pinned_log_bytes`, or another
    /// version trimmed the log. Its owner has to copy the store anew.
    pub lost: bool,
    /// Commits behind it.
    pub lag_commits: u64,
    /// Bytes of the log behind it.
    pub lag_bytes: u64,
}

/// The feed in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeStatistics {
    /// The oldest change that the log has, or the next one if it has none; `None` if its beginning cannot be read.
    pub oldest: Option<SeqNo>,
    /// Streams that are open in this process.
    pub streams: u64,
    /// Bytes of the log that are there, beyond what recovery needs.
    pub kept_bytes: u64,
    /// All pins, by name.
    pub pins: Vec<ChangePin>,
}

/// A pin as the manifest keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    cursor: Cursor,
    /// From where on the log is needed.
    from: Lsn,
}

impl Place {
    fn to_text(self) -> String {
        format!("{}@{}", self.cursor, self.from)
    }

    fn parse(text: &str) -> Result<Self> {
        let place = text.split_once('@').and_then(|(cursor, from)| {
            Some(Self { cursor: cursor.parse().ok()?, from: Lsn(from.parse().ok()?) })
        });
        let message = format!("the pin {text:?} was made by a newer version");
        place.ok_or_else(|| Error::new(ErrorKind::Unsupported, message))
    }
}

/// From where on a manifest's pins need the log, as far as this version knows them.
fn floors(manifest: &Manifest) -> impl Iterator<Item = Lsn> {
    let timeline = manifest.timeline;
    let places = manifest.pins().filter_map(|(_, text)| Place::parse(text).ok());
    places.filter(move |place| place.cursor.timeline == timeline).map(|place| place.from)
}

impl Core {
    /// Removes log files that hold nothing from `needed` on, and that no pin or stream asks for within its bounds.
    pub(crate) fn trim_log(&self, manifest: &Manifest, needed: Lsn) -> Result<()> {
        let most = self.settings.load().max_pinned_log_bytes;
        let may_hold = |from: Lsn| needed.0.saturating_sub(from.0) <= most;
        let pinned = floors(manifest).filter(|from| may_hold(*from)).min();
        self.feed.while_holding(may_hold, |held| {
            let floor = [Some(needed), pinned, held].into_iter().flatten().min().unwrap_or(needed);
            wal::retain(&*self.environment.vfs, &self.layout.wal_dir(), floor).map(|_| ())
        })
    }

    /// Sets a pin, or moves it.
    pub(crate) fn pin_changes(&self, name: &str, from: ChangesFrom) -> Result<()> {
        check_name("pin", name)?;
        let writer = self.writer()?;
        let cursor = self.cursor_of(from)?;
        {
            let _all_stays_meanwhile = self.feed.hold();
            let from = self.needed_from(cursor.seqno, self.pinned_from(name))?;
            let text = Place { cursor, from }.to_text();
            let changes = |now: &Manifest| {
                if now.pin(name).is_none() && now.pins().count() >= limits::MAX_CHANGE_PINS {
                    let message = format!(
                        "there are {} pins, which is the limit; remove one before setting {name}",
                        limits::MAX_CHANGE_PINS
                    );
                    return Err(Error::new(ErrorKind::TooLarge, message));
                }
                Ok(now.pin(name) != Some(&text))
            };
            self.change_texts(writer, changes, |next| next.set_pin(name, Some(&text)))?;
        }
        self.clear_away()
    }

    /// Removes a pin, if it is there.
    pub(crate) fn unpin_changes(&self, name: &str) -> Result<bool> {
        check_name("pin", name)?;
        let mut was_there = false;
        let changes = |now: &Manifest| {
            was_there = now.pin(name).is_some();
            Ok(was_there)
        };
        self.change_texts(self.writer()?, changes, |next| next.set_pin(name, None))?;
        self.clear_away()?;
        Ok(was_there)
    }

    /// All pins.
    pub(crate) fn change_pins(&self) -> Result<Vec<ChangePin>> {
        self.check_open()?;
        let manifest = self.manifests.lock().current.clone();
        let (end, visible) = (self.feed.end().lsn, self.visible());
        let oldest = self.log_files()?.first().copied().unwrap_or_default();
        let shown = |(name, text): (&str, &str)| {
            let Place { cursor, from } = Place::parse(text)?;
            Ok(ChangePin {
                name: name.to_owned(),
                cursor,
                lost: from < oldest || cursor.timeline != manifest.timeline,
                lag_commits: visible.0.saturating_sub(cursor.seqno.0),
                lag_bytes: end.0.saturating_sub(from.0),
            })
        };
        let mut pins: Vec<_> = manifest.pins().map(shown).collect::<Result<_>>()?;
        pins.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pins)
    }

    /// The feed in numbers.
    pub(crate) fn change_statistics(&self) -> Result<ChangeStatistics> {
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let oldest = self.log_files()?.first().copied().unwrap_or_default();
        Ok(ChangeStatistics {
            oldest: self.oldest_change().ok(),
            streams: self.feed.streams(),
            kept_bytes: checkpoint.0.saturating_sub(oldest.0),
            pins: self.change_pins()?,
        })
    }

    /// From where a pin needs the log, if it is there and not lost.
    fn pinned_from(&self, name: &str) -> Option<Lsn> {
        let manifests = self.manifests.lock();
        let place = Place::parse(manifests.current.pin(name)?).ok()?;
        (place.cursor.timeline == manifests.current.timeline).then_some(place.from)
    }

    /// From where on the log has all that the changes after `seqno` need. `before`: the same for an earlier one, if that is
    /// known.
    fn needed_from(&self, seqno: SeqNo, before: Option<Lsn>) -> Result<Lsn> {
        let start = self.locate(seqno)?;
        let (undecided, last_decision) = {
            let prepared = &self.head.lock().prepared;
            let undecided: Vec<Lsn> = prepared.undecided().map(|transaction| transaction.lsn).collect();
            (undecided, prepared.last_decision())
        };
        let is_settled = last_decision.is_none_or(|decision| decision < start);
        let from = match is_settled {
            // All that had not been decided there still is not.
            true => start,
            // What was prepared before, and decided since, is found by reading.
            false => {
                let files = self.log_files()?;
                let mut earlier = files.iter().filter(|first| before.is_some_and(|before| **first <= before));
                earlier.next_back().or(files.first()).copied().unwrap_or(start).min(start)
            }
        };
        let (place, open) = self.skim(from, seqno)?;
        // What the log had lost before anybody asked for it keeps nothing.
        let oldest = self.log_files()?.first().copied().unwrap_or_default();
        let others = undecided.into_iter().filter(|lsn| *lsn >= oldest);
        Ok(open.into_values().chain(others).fold(place, Lsn::min))
    }

    /// Reads on from a group boundary to the group of the first change after `seqno`; where that is, and what was prepared
    /// on the way, and not decided.
    fn skim(&self, from: Lsn, seqno: SeqNo) -> Result<(Lsn, BTreeMap<TxnId, Lsn>)> {
        let limit = self.feed.end().lsn;
        let (mut reader, mut open) = (self.log_from(from), BTreeMap::new());
        while let Some(group) = reader.next(limit)? {
            let marks = group.records().map(|record| Ok((Mark::of(&record)?, record.lsn)));
            let marks: Vec<_> = marks.collect::<Result<_>>()?;
            if marks.iter().any(|(mark, _)| mark.commit().is_some_and(|commit| commit > seqno)) {
                return Ok((group.start(), open));
            }
            for (mark, _) in marks {
                match mark {
                    Mark::Prepare(txn) => drop(open.insert(txn, group.start())),
                    Mark::Decision(txn, _) => drop(open.remove(&txn)),
                    Mark::Commit(_) | Mark::Part => {}
                }
            }
        }
        Ok((reader.position(), open))
    }
}
