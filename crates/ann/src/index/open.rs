//! Reads an index and checks all that a search relies on.

use crate::codec::CodecError;

use super::VectorIndex;

/// See [`VectorIndex::open`].
pub(super) fn open(bytes: &[u8]) -> Result<VectorIndex, CodecError> {
    unimplemented!()
}
