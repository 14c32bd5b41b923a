//! The records of the log that two-phase commit adds.
//!
//! A prepared transaction is a run of the same parts as a commit, then what it has read in parts of its own, and one
//! *prepare* record behind them, all in one group. It has no SeqNo: the record of its *decision* takes one, if it is to
//! commit. What is prepared and not decided yet lies in each manifest as well, as of its checkpoint, in the same records.
//!
//! | kind | payload |
//! | --- | --- |
//! | 19 prepare | wire: [`PrepareHead`] |
//! | 20 commit prepared | wire: [`CommitPrepared`] |
//! | 21 roll back prepared | wire: [`RollbackPrepared`] |
//! | 22 reads | a part of the encoded read set |

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, TxnId, wire};
use wincode::{SchemaRead, SchemaWrite};

use crate::record::{CommitHead, KIND_COMMIT, KIND_DELETES, KIND_ROWS};

/// The end of a prepared transaction, which makes its parts count.
pub(crate) const KIND_PREPARE: u16 = 19;
/// The decision that a prepared transaction is committed.
pub(crate) const KIND_COMMIT_PREPARED: u16 = 20;
/// The decision that a prepared transaction is rolled back.
pub(crate) const KIND_ROLLBACK_PREPARED: u16 = 21;
/// What a prepared transaction has read.
pub(crate) const KIND_READS: u16 = 22;

/// The commit that a record ends, if it ends one.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub(crate) fn commit_head(kind: u16, payload: &[u8]) -> Result<Option<CommitHead>> {
    Ok(match kind {
        KIND_COMMIT => Some(wire::decode(payload)?),
        KIND_COMMIT_PREPARED => Some(wire::decode::<CommitPrepared>(payload)?.commit),
        _ => None,
    })
}

/// Whether a record means nothing without those behind it.
pub(crate) fn is_part(kind: u16) -> bool {
    matches!(kind, KIND_ROWS | KIND_DELETES | KIND_READS)
}

/// In a manifest only: the last decisions.
const KIND_DECISIONS: u16 = 0;
/// What precedes a record in a manifest.
const BLOB_HEAD_BYTES: usize = size_of::<u16>() + size_of::<u64>();

/// The end of a prepared transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct PrepareHead {
    pub(crate) txn: TxnId,
    /// The isolation level, by its place among all of them.
    pub(crate) level: u8,
    /// What it has read is of this commit.
    pub(crate) snapshot: SeqNo,
    /// When it was prepared, in µs since the epoch.
    pub(crate) prepared_us: u64,
    pub(crate) parts: u32,
    pub(crate) rows: u64,
    pub(crate) deletes: u64,
    /// Bytes of the encoded read set.
    pub(crate) read_bytes: u64,
}

/// The decision to commit. The counts of `commit` are those of the prepared parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct CommitPrepared {
    pub(crate) txn: TxnId,
    pub(crate) commit: CommitHead,
}

/// The decision to roll back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct RollbackPrepared {
    pub(crate) txn: TxnId,
}

/// What became of a prepared transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Decision {
    pub(crate) txn: TxnId,
    /// The commit that it became, if it was not rolled back.
    pub(crate) commit: Option<SeqNo>,
    /// Where the decision lies in the log.
    pub(crate) lsn: Lsn,
}

/// What a manifest keeps of two-phase commit, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept<'a> {
    /// A record of a prepared transaction, and where its PREPARE record lies in the log.
    Record { kind: u16, lsn: Lsn, payload: &'a [u8] },
    /// The last decisions, oldest first.
    Decisions(Vec<Decision>),
}

impl<'a> Kept<'a> {
    /// As bytes in a manifest: kind u16 · Lsn u64 · payload.
    ///
    /// # Errors
    /// `TooLarge` if there are more decisions than the format can say.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let join = |kind: u16, lsn: Lsn, payload: &[u8]| {
            [&kind.to_le_bytes()[..], &lsn.0.to_le_bytes(), payload].concat()
        };
        Ok(match self {
            Kept::Record { kind, lsn, payload } => join(*kind, *lsn, payload),
            Kept::Decisions(decisions) => join(KIND_DECISIONS, Lsn(0), &wire::encode(decisions)?),
        })
    }

    /// Reads such a piece.
    ///
    /// # Errors
    /// `Corrupt` if it is none.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        let cut_off =
            || Error::new(ErrorKind::Corrupt, "what the manifest keeps of a prepared transaction is cut off");
        let (head, payload) = bytes.split_first_chunk::<BLOB_HEAD_BYTES>().ok_or_else(cut_off)?;
        let [kind_low, kind_high, lsn @ ..] = *head;
        match u16::from_le_bytes([kind_low, kind_high]) {
            KIND_DECISIONS => wire::decode(payload).map(Kept::Decisions),
            kind => Ok(Kept::Record { kind, lsn: Lsn(u64::from_le_bytes(lsn)), payload }),
        }
    }
}

/// How many prepared transactions a manifest keeps.
///
/// # Errors
/// `Corrupt` if what it keeps is malformed.
pub(crate) fn count_prepared(kept: &[Vec<u8>]) -> Result<u64> {
    let ends_one =
        |bytes: &Vec<u8>| Ok(matches!(Kept::decode(bytes)?, Kept::Record { kind: KIND_PREPARE, .. }));
    kept.iter().map(ends_one).try_fold(0, |count, ends: Result<bool>| Ok(count + u64::from(ends?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_keeps_reads_back() {
        let decisions = vec![
            Decision { txn: TxnId(7), commit: Some(SeqNo(9)), lsn: Lsn(80) },
            Decision { txn: TxnId(8), commit: None, lsn: Lsn(88) },
        ];
        let kept = [
            Kept::Decisions(decisions),
            Kept::Record { kind: KIND_READS, lsn: Lsn(1 << 40), payload: b"reads" },
            Kept::Record { kind: KIND_PREPARE, lsn: Lsn(0), payload: b"" },
        ];
        for piece in kept {
            let bytes = piece.encode().unwrap();
            assert_eq!(Kept::decode(&bytes).unwrap(), piece);
            let short = Kept::decode(&bytes[..BLOB_HEAD_BYTES - 1]);
            assert_eq!(short.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
