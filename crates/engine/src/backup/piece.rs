//! Pieces of the log as the archive keeps them: whole groups, one behind the other.
//!
//! A piece is two sealed bodies (`envelope.rs`): the wire encoding of [`PieceHead`], which is read by itself, and the groups:
//! of each the Lsn (8 bytes) and the number of records (8), and of each record the kind (2), the length (4) and the payload.
//! Frames and checksums of the log are left out: they are of one file of one store.

use std::ops::Range;

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, StoreId, wire};
use codegraph_vector_storage::wal::LogGroup;
use wincode::{SchemaRead, SchemaWrite};

use super::envelope::{HEAD_BYTES, Kind};
use crate::record::CommitHead;
use crate::record_prepared::commit_head;

const KIND: Kind = Kind { magic: b"CGVLOG\r\n", version: 1, name: "this piece of the log's archive" };
/// No head of a piece has more bytes.
pub(super) const MAX_HEAD_BYTES: u64 = HEAD_BYTES as u64 + 512;

/// What is in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(super) struct PieceHead {
    pub(super) store_id: StoreId,
    pub(super) timeline: u64,
    /// Where it begins, and the next one does.
    pub(super) first: Lsn,
    pub(super) end: Lsn,
    /// The first and the last commit in it, and their times in µs since the Unix epoch, if there are any.
    pub(super) commits: Option<(CommitHead, CommitHead)>,
    /// When it was put, in µs since the Unix epoch.
    pub(super) put_us: u64,
}

impl PieceHead {
    /// The head at the front of a piece.
    ///
    /// # Errors
    /// `Corrupt`; `Unsupported` for a newer format.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let (body, _) = KIND.open_front(bytes)?;
        wire::decode(body).map_err(|error| error.context(KIND.name))
    }
}

/// A piece in the making.
pub(super) struct PieceWriter {
    head: PieceHead,
    body: Vec<u8>,
}

impl PieceWriter {
    pub(super) fn new(store_id: StoreId, timeline: u64, first: Lsn) -> Self {
        let head = PieceHead { store_id, timeline, first, end: first, commits: None, put_us: 0 };
        Self { head, body: Vec::new() }
    }

    pub(super) fn head(&self) -> &PieceHead {
        &self.head
    }

    /// Bytes of records so far.
    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// Takes the next group.
    ///
    /// # Errors
    /// `Corrupt` if it does not follow, or a record cannot be read.
    pub(super) fn add(&mut self, group: &LogGroup) -> Result<()> {
        if group.start() != self.head.end {
            let message = format!("the log goes on at Lsn {} instead of {}", group.start(), self.head.end);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.body.extend(group.start().0.to_le_bytes());
        self.body.extend((group.records().count() as u64).to_le_bytes());
        for record in group.records() {
            self.body.extend(record.kind.to_le_bytes());
            self.body.extend((record.payload.len() as u32).to_le_bytes());
            self.body.extend(record.payload);
            if let Some(commit) = commit_head(record.kind, record.payload)? {
                let first = self.head.commits.map_or(commit, |(first, _)| first);
                self.head.commits = Some((first, commit));
            }
        }
        self.head.end = group.end();
        Ok(())
    }

    /// All of it.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(super) fn finish(mut self, now_us: u64) -> Result<Vec<u8>> {
        self.head.put_us = now_us;
        let mut bytes = KIND.seal(&wire::encode(&self.head)?);
        bytes.extend(KIND.seal(&self.body));
        Ok(bytes)
    }
}

/// A group of a piece.
pub(super) struct ArchivedGroup<'a> {
    pub(super) start: Lsn,
    /// Kind and payload.
    pub(super) records: Vec<(u16, &'a [u8])>,
}

/// A piece as it was put.
pub(super) struct Piece {
    pub(super) head: PieceHead,
    bytes: Vec<u8>,
    body: Range<usize>,
}

impl Piece {
    /// Takes the bytes of a whole piece.
    ///
    /// # Errors
    /// As [`PieceHead::decode`].
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Self> {
        let head = PieceHead::decode(&bytes)?;
        let (_, rest) = KIND.open_front(&bytes)?;
        let body = KIND.open(rest)?;
        let body = bytes.len() - body.len()..bytes.len();
        Ok(Self { head, bytes, body })
    }

    /// Whether it holds what that one does.
    pub(super) fn is_of(&self, other: &PieceWriter) -> bool {
        self.head.end == other.head.end && self.bytes[self.body.clone()] == other.body[..]
    }

    /// Its groups, in order.
    pub(super) fn groups(&self) -> impl Iterator<Item = Result<ArchivedGroup<'_>>> {
        let mut rest = &self.bytes[self.body.clone()];
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| {
                let group = take_group(&mut rest);
                if group.is_none() {
                    rest = &[];
                }
                group.ok_or_else(|| KIND.damaged("does not hold what it says"))
            })
        })
    }
}

fn take_group<'a>(rest: &mut &'a [u8]) -> Option<ArchivedGroup<'a>> {
    let start = Lsn(u64::from_le_bytes(take(rest)?));
    let count = u64::from_le_bytes(take(rest)?);
    let mut records = Vec::new();
    for _ in 0..count {
        let kind = u16::from_le_bytes(take(rest)?);
        let len = u32::from_le_bytes(take(rest)?) as usize;
        let (payload, behind) = rest.split_at_checked(len)?;
        *rest = behind;
        records.push((kind, payload));
    }
    Some(ArchivedGroup { start, records })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*front)
}

/// The last commit that a piece has, if it has one.
pub(super) fn last_commit(head: &PieceHead) -> Option<SeqNo> {
    head.commits.map(|(_, last)| last.seqno)
}

/// For the fuzzer: any bytes as a piece, as a head, and as groups.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn decode_any(bytes: &[u8]) {
    if let Ok(piece) = Piece::decode(bytes.to_vec()) {
        let _ = piece.groups().map(|group| group.map_or(0, |group| group.records.len())).sum::<usize>();
    }
    let _ = PieceHead::decode(&KIND.seal(bytes));
    let mut rest = bytes;
    while take_group(&mut rest).is_some() {}
}

/// For the fuzzer's corpus: a piece of one group.
#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let commit = |seqno| CommitHead { seqno: SeqNo(seqno), commit_time_us: 5, parts: 1, rows: 1, deletes: 0 };
    let head = PieceHead {
        store_id: StoreId([7; 16]),
        timeline: 1,
        first: Lsn(64),
        end: Lsn(256),
        commits: Some((commit(3), commit(4))),
        put_us: 9,
    };
    let body = [
        &64_u64.to_le_bytes()[..],
        &1_u64.to_le_bytes(),
        &17_u16.to_le_bytes(),
        &3_u32.to_le_bytes(),
        b"abc",
    ];
    PieceWriter { head, body: body.concat() }.finish(9).expect("encoded")
}
