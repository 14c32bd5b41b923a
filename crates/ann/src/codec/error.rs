//! What can be wrong with a spec, a sample, or the bytes of a codebook.

use std::fmt;

/// Why a codec cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The spec does not fit; says what would.
    Spec(String),
    /// The sample cannot be trained on.
    Sample(String),
    /// These bytes are no codebook.
    Malformed(String),
    /// The training was told to stop.
    Stopped,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(text) | Self::Sample(text) | Self::Malformed(text) => f.write_str(text),
            Self::Stopped => f.write_str("the training was stopped"),
        }
    }
}

impl std::error::Error for CodecError {}
