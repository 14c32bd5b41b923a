//! A group: the records that one sync makes durable, behind one group header.
//!
//! The header is a frame of kind [`GROUP_KIND`] whose payload is
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | synced Lsn: everything before it was durable when this group was written |
//! | 8 | 8 | bytes of the frames that follow |
//! | 16 | 8 | number of those frames |

use std::ops::Range;

use codegraph_vector_base::frame::{self, Check, Damage, Frame, Seal};
use codegraph_vector_base::{Lsn, Result};

/// The frame kind of group headers; records have kinds above it.
pub const GROUP_KIND: u16 = 1;

const PAYLOAD_BYTES: usize = 24;

/// Memory that an empty group may keep while nobody writes.
const SMALL_BYTES: usize = 16 << 10;

/// Bytes of a framed group header.
pub(crate) const HEADER_BYTES: usize = frame::HEADER_BYTES + PAYLOAD_BYTES;
const _: () = assert!(HEADER_BYTES.is_multiple_of(frame::ALIGNMENT));

/// What a group header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) synced_lsn: Lsn,
    pub(crate) body_bytes: u64,
    pub(crate) records: u64,
}

impl GroupHeader {
    /// The group header at the front of `bytes`, which lie at `lsn`.
    pub(crate) fn parse(bytes: &[u8], seal: &Seal, lsn: Lsn, check: Check) -> Result<Self, Damage> {
        let frame = frame::parse(bytes, seal, lsn, check)?;
        let (GROUP_KIND, Ok(payload)) = (frame.kind, <&[u8; PAYLOAD_BYTES]>::try_from(frame.payload)) else {
            return Err(Damage::Header);
        };
        let long = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&payload[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let header = Self { synced_lsn: Lsn(long(0)), body_bytes: long(8), records: long(16) };
        if header.synced_lsn > lsn { Err(Damage::Header) } else { Ok(header) }
    }

    fn encode(&self) -> [u8; PAYLOAD_BYTES] {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[0..8].copy_from_slice(&self.synced_lsn.0.to_le_bytes());
        payload[8..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        payload[16..24].copy_from_slice(&self.records.to_le_bytes());
        payload
    }
}

/// A group in the making: room for the header, then framed records.
#[derive(Debug)]
pub struct Group {
    seal: Seal,
    start: Lsn,
    bytes: Vec<u8>,
    records: u64,
}

impl Group {
    /// An empty group at `start`.
    pub(crate) fn new(seal: Seal, start: Lsn) -> Self {
        Self { seal, start, bytes: vec![0; HEADER_BYTES], records: 0 }
    }

    /// The same memory for another group.
    pub(crate) fn reset(&mut self, seal: Seal, start: Lsn) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        (self.seal, self.start, self.records) = (seal, start, 0);
    }

    /// Gives memory back that small groups do not need, if nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            self.bytes.shrink_to(SMALL_BYTES);
        }
    }

    /// Appends a record of `kind` (above [`GROUP_KIND`]), its payload given in `parts`; returns its Lsn.
    ///
    /// # Panics
    /// If the payload is over the limit of a frame, or the kind is not a record's.
    pub fn append(&mut self, kind: u16, parts: &[&[u8]]) -> Lsn {
        assert!(kind > GROUP_KIND, "a record with the kind of a group header");
        let lsn = self.end();
        frame::append(&mut self.bytes, &self.seal, lsn, kind, parts);
        self.records += 1;
        lsn
    }

    /// The same, but tells where in the group's bytes the payload lies.
    pub fn append_placed(&mut self, kind: u16, parts: &[&[u8]]) -> Range<usize> {
        let start = self.bytes.len() + frame::HEADER_BYTES;
        self.append(kind, parts);
        start..start + parts.iter().map(|part| part.len()).sum::<usize>()
    }

    /// The group's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the group begins.
    pub(crate) fn start(&self) -> Lsn {
        self.start
    }

    /// Where the next record will lie.
    pub fn end(&self) -> Lsn {
        self.start.advance(self.bytes.len() as u64)
    }

    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// All bytes, the header filled in.
    pub(crate) fn seal(&mut self, synced_lsn: Lsn) -> &[u8] {
        let body_bytes = (self.bytes.len() - HEADER_BYTES) as u64;
        let header = GroupHeader { synced_lsn, body_bytes, records: self.records };
        let mut framed = Vec::with_capacity(HEADER_BYTES);
        frame::append(&mut framed, &self.seal, self.start, GROUP_KIND, &[&header.encode()]);
        self.bytes[..HEADER_BYTES].copy_from_slice(&framed);
        &self.bytes
    }
}

/// The records of a whole group, after its header was read; `body` lies behind the header.
pub(crate) fn parse_records<'a>(
    header: &GroupHeader,
    body: &'a [u8],
    seal: &Seal,
    body_lsn: Lsn,
    check: Check,
) -> Result<Vec<(Lsn, Frame<'a>)>, (Lsn, Damage)> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let lsn = body_lsn.advance(at as u64);
        let frame = frame::parse(&body[at..], seal, lsn, check).map_err(|damage| (lsn, damage))?;
        if frame.kind <= GROUP_KIND {
            return Err((lsn, Damage::Header));
        }
        at += frame.len;
        records.push((lsn, frame));
    }
    if records.len() as u64 == header.records { Ok(records) } else { Err((body_lsn, Damage::Header)) }
}
