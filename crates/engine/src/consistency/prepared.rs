//! Transactions between the two phases of their commit.
//!
//! What always holds:
//! - a prepared transaction is state of the store like its rows: only `apply` adds or removes one, in the order of the log, and
//!   each checkpoint carries those that are not decided;
//! - what is kept of one is all that its commit, and the validation of others against it, will ever need;
//! - the last [`MAX_DECISIONS`] decisions are kept too, so that to repeat one does no harm, after a restart either.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, TxnId, limits, wire};

use super::IsolationLevel;
use super::reads::ReadSet;
use crate::memtable::metadata_bytes;
use crate::node::NodeMetadata;
use crate::record::{CommitHead, PartView, Parts, deleted_ids, parse_parts};
use crate::record_prepared::{Decision, KIND_PREPARE, KIND_READS, Kept, PrepareHead};
use crate::store::{Effects, PutEffect};

/// Decisions that are remembered.
const MAX_DECISIONS: usize = 1024;

/// A transaction that was prepared and is not decided. Every other transaction has to let it commit.
#[derive(Debug)]
pub(crate) struct PreparedTransaction {
    pub(crate) head: PrepareHead,
    pub(crate) level: IsolationLevel,
    /// Where its PREPARE record lies in the log.
    pub(crate) lsn: Lsn,
    /// The records that come before that one: what it writes, then what it has read.
    records: Vec<(u16, Vec<u8>)>,
    dimension: usize,
    pub(crate) reads: ReadSet,
    pub(crate) effects: Arc<Effects>,
}

impl PreparedTransaction {
    /// Of the records that the log gets.
    ///
    /// # Errors
    /// `TooLarge` if it cannot be said in the log's format.
    pub(crate) fn new(
        (txn, level, snapshot): (TxnId, IsolationLevel, SeqNo),
        prepared_us: u64,
        parts: &Parts<'_>,
        reads: ReadSet,
        dimension: usize,
    ) -> Result<Self> {
        let mut records: Vec<_> = parts.payloads().map(|(kind, pieces)| (kind, pieces.concat())).collect();
        let effects = Arc::new(effects_of(txn, &writes_of(&records, dimension)?)?);
        let encoded = reads.encode()?;
        records.extend(encoded.chunks(limits::BATCH_PART_BYTES).map(|part| (KIND_READS, part.to_vec())));
        let CommitHead { parts, rows, deletes, .. } = parts.head(SeqNo(0), 0);
        let read_bytes = encoded.len() as u64;
        let head =
            PrepareHead { txn, level: level as u8, snapshot, prepared_us, parts, rows, deletes, read_bytes };
        Ok(Self { head, level, lsn: Lsn(0), records, dimension, reads, effects })
    }

    /// Of the records that the log, or a manifest, has.
    ///
    /// # Errors
    /// `Corrupt` if one of them is missing or malformed; `Unsupported` if a newer version wrote them.
    pub(crate) fn from_records(
        head: PrepareHead,
        lsn: Lsn,
        records: Vec<(u16, Vec<u8>)>,
        dimension: usize,
    ) -> Result<Self> {
        let corrupt =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("prepared transaction {}: {what}", head.txn));
        let level = IsolationLevel::ALL.get(usize::from(head.level)).copied();
        let level = level.ok_or_else(|| {
            let message =
                format!("transaction {} has an isolation level that this version does not know", head.txn);
            Error::new(ErrorKind::Unsupported, message)
        })?;
        let reads: Vec<u8> = records
            .iter()
            .filter(|(kind, _)| *kind == KIND_READS)
            .flat_map(|(_, bytes)| bytes)
            .copied()
            .collect();
        if reads.len() as u64 != head.read_bytes {
            return Err(corrupt("a part of what it has read is missing"));
        }
        let effects = effects_of(head.txn, &writes_of(&records, dimension)?)?;
        if (effects.puts.len() as u64, effects.deletes.len() as u64) != (head.rows, head.deletes) {
            return Err(corrupt("a part is missing"));
        }
        let reads = ReadSet::decode(&reads)?;
        Ok(Self { head, level, lsn, records, dimension, reads, effects: Arc::new(effects) })
    }

    /// The kinds and payloads of the records before the PREPARE record, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.records.iter().map(|(kind, payload)| (*kind, &payload[..]))
    }

    /// What it writes.
    ///
    /// # Errors
    /// `Corrupt`; not once it was made.
    pub(crate) fn writes(&self) -> Result<Vec<PartView<'_>>> {
        writes_of(&self.records, self.dimension)
    }

    /// The head of its commit.
    pub(crate) fn commit_head(&self, seqno: SeqNo, commit_time_us: u64) -> CommitHead {
        let PrepareHead { parts, rows, deletes, .. } = self.head;
        CommitHead { seqno, commit_time_us, parts, rows, deletes }
    }

    /// Bytes of its records in the log, which a manifest has to carry, too.
    pub(crate) fn bytes(&self) -> u64 {
        let records = self.records.iter().map(|(_, payload)| payload.len() + size_of::<u128>());
        (records.sum::<usize>() + size_of::<PrepareHead>()) as u64
    }
}

fn writes_of(records: &[(u16, Vec<u8>)], dimension: usize) -> Result<Vec<PartView<'_>>> {
    let writes = records.iter().filter(|(kind, _)| *kind != KIND_READS);
    parse_parts(writes.map(|(kind, payload)| (*kind, &payload[..])), dimension)
}

/// What parts do, vectors included: whom they are to be held against is not known yet.
fn effects_of(txn: TxnId, parts: &[PartView<'_>]) -> Result<Effects> {
    let mut effects = Effects { transaction: Some(txn), ..Effects::default() };
    for part in parts {
        match part {
            PartView::Deletes(ids) => effects.deletes.extend(deleted_ids(ids)),
            PartView::Rows(rows) => {
                for row in rows.iter() {
                    effects.bytes += metadata_bytes(row.metadata.len()) + row.vector.len() as u64;
                    effects.puts.push(PutEffect {
                        id: row.head.id,
                        metadata: Arc::new(NodeMetadata::decode(row.metadata)?),
                        norm: row.head.norm,
                        vector: Some(row.floats().collect()),
                    });
                }
            }
        }
    }
    effects.bytes += size_of_val(&effects.deletes[..]) as u64;
    Ok(effects)
}

/// All that is in doubt, and the last decisions.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreparedTransactions {
    undecided: BTreeMap<TxnId, Arc<PreparedTransaction>>,
    decisions: VecDeque<Decision>,
}

impl PreparedTransactions {
    /// Those that are not decided, by id.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = &Arc<PreparedTransaction>> {
        self.undecided.values()
    }

    /// One of them.
    pub(crate) fn get(&self, txn: TxnId) -> Option<&Arc<PreparedTransaction>> {
        self.undecided.get(&txn)
    }

    /// The same, in the order of the log.
    pub(crate) fn in_log_order(&self) -> Vec<Arc<PreparedTransaction>> {
        let mut all: Vec<_> = self.undecided.values().cloned().collect();
        all.sort_by_key(|transaction| transaction.lsn);
        all
    }

    /// Whether a transaction is prepared and not decided.
    pub(crate) fn contains(&self, txn: TxnId) -> bool {
        self.undecided.contains_key(&txn)
    }

    /// What was decided of a transaction, if that is still known.
    pub(crate) fn decision(&self, txn: TxnId) -> Option<Decision> {
        self.decisions.iter().rev().find(|decision| decision.txn == txn).copied()
    }

    /// Where the last decision lies in the log.
    pub(crate) fn last_decision(&self) -> Option<Lsn> {
        self.decisions.back().map(|decision| decision.lsn)
    }

    /// The greatest id that is known.
    pub(crate) fn last_id(&self) -> Option<TxnId> {
        let decided = self.decisions.iter().map(|decision| decision.txn);
        self.undecided.keys().copied().chain(decided).max()
    }

    /// Adds a transaction that was prepared.
    ///
    /// # Errors
    /// `Corrupt` if there is one of this id.
    pub(crate) fn prepare(&mut self, transaction: Arc<PreparedTransaction>) -> Result<()> {
        let txn = transaction.head.txn;
        if self.decision(txn).is_some() || self.undecided.insert(txn, transaction).is_some() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("transaction {txn} is prepared twice in the log"),
            ));
        }
        Ok(())
    }

    /// Takes out the transaction that a decision is about.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub(crate) fn decide(&mut self, decision: Decision) -> Result<Arc<PreparedTransaction>> {
        let txn = decision.txn;
        let unknown = || {
            Error::new(
                ErrorKind::Corrupt,
                format!("the log decides transaction {txn}, which is not prepared"),
            )
        };
        let transaction = self.undecided.remove(&txn).ok_or_else(unknown)?;
        while self.decisions.len() >= MAX_DECISIONS {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
        Ok(transaction)
    }

    /// All of it, for a manifest.
    ///
    /// # Errors
    /// `TooLarge` if the format cannot say it.
    pub(crate) fn to_manifest(&self) -> Result<Vec<Vec<u8>>> {
        let mut kept = Vec::new();
        if !self.decisions.is_empty() {
            kept.push(Kept::Decisions(self.decisions.iter().copied().collect()).encode()?);
        }
        for transaction in self.in_log_order() {
            let lsn = transaction.lsn;
            for (kind, payload) in transaction.records() {
                kept.push(Kept::Record { kind, lsn, payload }.encode()?);
            }
            let head = wire::encode(&transaction.head)?;
            kept.push(Kept::Record { kind: KIND_PREPARE, lsn, payload: &head }.encode()?);
        }
        Ok(kept)
    }

    /// What a manifest keeps.
    ///
    /// # Errors
    /// `Corrupt` if it is malformed; `Unsupported` if a newer version wrote it.
    pub(crate) fn from_manifest(kept: &[Vec<u8>], dimension: usize) -> Result<Self> {
        let mut all = Self::default();
        let mut records = Vec::new();
        for bytes in kept {
            match Kept::decode(bytes)? {
                Kept::Decisions(decisions) => all.decisions = decisions.into(),
                Kept::Record { kind: KIND_PREPARE, lsn, payload } => {
                    let (head, records) = (wire::decode(payload)?, std::mem::take(&mut records));
                    all.prepare(Arc::new(PreparedTransaction::from_records(head, lsn, records, dimension)?))?;
                }
                Kept::Record { kind, payload, .. } => records.push((kind, payload.to_vec())),
            }
        }
        match records.is_empty() {
            true => Ok(all),
            false => {
                Err(Error::new(ErrorKind::Corrupt, "a prepared transaction of the manifest lacks its end"))
            }
        }
    }
}
