//! What a codec is to be: its family and parameters, as a value, a text, and the head of a codebook.
//!
//! The text (`transform:bytes=48`, `product:m=16,nbits=8,rotate=false`) is what settings and reports say.

use std::fmt;
use std::str::FromStr;

use super::{CodecError, Input};

/// Where the levels of a scalar codec come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each dimension has its own.
    Dimension,
    /// All dimensions share them.
    Global,
}

/// Family and parameters of a codec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CodecSpec {
    /// Each component by itself.
    Scalar {
        /// 4 or 8 for levels; 16 for half floats; 32 for floats, which loses nothing.
        nbits: u8,
        /// Levels at equal distances; else at quantiles of what was seen. For 4 and 8 bits.
        uniform: bool,
        /// Where the levels come from. For 4 and 8 bits.
        scope: Scope,
        /// bfloat16 rather than IEEE half. For 16 bits.
        brain: bool,
    },
    /// Product quantisation (Jégou, Douze, Schmid 2011).
    Product {
        /// Sub-quantisers; the dimension is padded with zeros to a multiple.
        m: usize,
        /// Bits of each, 4 to 12.
        nbits: u8,
        /// Whether a rotation is learned (OPQ: Ge, He, Ke, Sun 2013).
        rotate: bool,
    },
    /// RaBitQ (2405.12497) and its extension (2409.09913).
    Binary {
        /// Bits of a component, 1 to 8.
        bits: u8,
    },
    /// Transform coding: Karhunen-Loève transform, bits by variance, scalar levels (Goyal 2001).
    Transform {
        /// Bytes of a code.
        bytes: usize,
    },
}

impl CodecSpec {
    /// Whether vectors of `dim` components can be coded so.
    ///
    /// # Errors
    /// [`CodecError::Spec`] with what would fit.
    pub fn check(&self, dim: usize) -> Result<(), CodecError> {
        let ensure = |holds: bool, text: String| if holds { Ok(()) } else { Err(CodecError::Spec(text)) };
        match *self {
            Self::Scalar { nbits, .. } => ensure(
                [4, 8, 16, 32].contains(&nbits),
                format!("a scalar codec has 4, 8, 16 or 32 bits, not {nbits}"),
            ),
            Self::Product { m, nbits, .. } => {
                ensure(
                    (1..=dim).contains(&m),
                    format!("m is {m}, and must be from 1 to the dimension, {dim}"),
                )?;
                ensure((4..=12).contains(&nbits), format!("nbits is {nbits}, and must be from 4 to 12"))
            }
            Self::Binary { bits } => {
                ensure((1..=8).contains(&bits), format!("a binary codec has 1 to 8 bits, not {bits}"))
            }
            Self::Transform { bytes } => ensure(
                (2..=dim + 1).contains(&bytes),
                format!("bytes is {bytes}, and must be from 2 to the dimension and one, {}", dim + 1),
            ),
        }
    }

    /// What vectors a codec of this spec wants.
    #[must_use]
    pub fn input(&self) -> Input {
        match self {
            Self::Scalar { nbits: 16 | 32, .. } => Input::AsGiven,
            _ => Input::Direction,
        }
    }

    /// The family: `scalar`, `product`, `binary` or `transform`.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self {
            Self::Scalar { .. } => "scalar",
            Self::Product { .. } => "product",
            Self::Binary { .. } => "binary",
            Self::Transform { .. } => "transform",
        }
    }
}

impl fmt::Display for CodecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Scalar { nbits, uniform, scope, brain } => {
                let scope = match scope {
                    Scope::Dimension => "dimension",
                    Scope::Global => "global",
                };
                write!(f, "scalar:nbits={nbits},uniform={uniform},scope={scope},brain={brain}")
            }
            Self::Product { m, nbits, rotate } => write!(f, "product:m={m},nbits={nbits},rotate={rotate}"),
            Self::Binary { bits } => write!(f, "binary:bits={bits}"),
            Self::Transform { bytes } => write!(f, "transform:bytes={bytes}"),
        }
    }
}

impl FromStr for CodecSpec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let bad = || CodecError::Spec(format!("{text:?} is no codec"));
        let (family, rest) = text.split_once(':').ok_or_else(bad)?;
        let mut pairs = rest.split(',').map(|pair| pair.split_once('='));
        let mut next = |name: &str| match pairs.next().flatten() {
            Some((key, value)) if key == name => Ok(value),
            _ => Err(bad()),
        };
        let spec = match family {
            "scalar" => Self::Scalar {
                nbits: next("nbits")?.parse().map_err(|_| bad())?,
                uniform: next("uniform")?.parse().map_err(|_| bad())?,
                scope: match next("scope")? {
                    "dimension" => Scope::Dimension,
                    "global" => Scope::Global,
                    _ => return Err(bad()),
                },
                brain: next("brain")?.parse().map_err(|_| bad())?,
            },
            "product" => Self::Product {
                m: next("m")?.parse().map_err(|_| bad())?,
                nbits: next("nbits")?.parse().map_err(|_| bad())?,
                rotate: next("rotate")?.parse().map_err(|_| bad())?,
            },
            "binary" => Self::Binary { bits: next("bits")?.parse().map_err(|_| bad())? },
            "transform" => Self::Transform { bytes: next("bytes")?.parse().map_err(|_| bad())? },
            _ => return Err(bad()),
        };
        if pairs.next().is_some() {
            return Err(bad());
        }
        Ok(spec)
    }
}

/// Head of a codebook: length of the spec's text (u32), the text, zeros up to a multiple of 4, the dimension (u32).
pub(super) fn write_head(spec: &CodecSpec, dim: usize) -> Vec<u8> {
    let text = spec.to_string();
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(&(dim as u32).to_le_bytes());
    bytes
}

/// Spec and dimension, which fit each other, and what follows them.
pub(super) fn read_head(bytes: &[u8]) -> Result<(CodecSpec, usize, &[u8]), CodecError> {
    /// No dimension of a store is above this.
    const MAX_DIM: usize = 1 << 16;
    let short = || CodecError::Malformed("the codebook is too short".to_owned());
    let number = |bytes: &[u8]| bytes.first_chunk().map(|four| u32::from_le_bytes(*four) as usize);
    let text_bytes = number(bytes).ok_or_else(short)?;
    let text = bytes[4..].get(..text_bytes).ok_or_else(short)?;
    let rest = bytes.get((4 + text_bytes).next_multiple_of(4)..).ok_or_else(short)?;
    let dim = number(rest).ok_or_else(short)?;
    if !(1..=MAX_DIM).contains(&dim) {
        return Err(CodecError::Malformed(format!("the codebook has a dimension of {dim}")));
    }
    let malformed = |error: CodecError| CodecError::Malformed(error.to_string());
    let spec: CodecSpec = String::from_utf8_lossy(text).parse().map_err(malformed)?;
    spec.check(dim).map_err(malformed)?;
    Ok((spec, dim, &rest[4..]))
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
