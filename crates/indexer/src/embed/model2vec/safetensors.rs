//! The `safetensors` format (<https://github.com/huggingface/safetensors>): eight bytes with the length of a JSON
//! header, the header (name → type, shape, place), the numbers, little-endian.
//!
//! Every place and shape is checked against the bytes that are there before anything is read.

use std::collections::HashMap;

use codegraph_vector::{Error, Result};
use half::f16;
use serde::Deserialize;
use serde_json::Value;

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The tensors of a file, in place.
pub(super) struct Tensors<'a> {
    entries: HashMap<String, Tensor<'a>>,
}

/// A tensor.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    dtype: String,
    shape: Vec<usize>,
    /// As many bytes as type and shape ask for.
    bytes: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// Looks at the header, and at nothing else.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self> {
        let bad = |what: &str| Error::invalid(format!("not a safetensors file: {what}"));
        let (length, rest) = file.split_first_chunk::<8>().ok_or_else(|| bad("too short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let split = length.and_then(|length| rest.split_at_checked(length));
        let (header, data) = split.ok_or_else(|| bad("its header is longer than the file"))?;
        let header: HashMap<String, Value> =
            serde_json::from_slice(header).map_err(|error| bad(&error.to_string()))?;
        let mut entries = HashMap::new();
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry = serde_json::from_value(value).map_err(|error| bad(&error.to_string()))?;
            let [start, end] = entry.data_offsets;
            let bytes = data.get(start..end).ok_or_else(|| bad(&format!("{name} is not all there")))?;
            let tensor = Tensor { dtype: entry.dtype, shape: entry.shape, bytes };
            if tensor.expected_bytes() != Some(bytes.len()) {
                return Err(bad(&format!("{name} does not have the bytes that its type and shape ask for")));
            }
            entries.insert(name, tensor);
        }
        Ok(Self { entries })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tensor<'a>> {
        self.entries.get(name)
    }
}

impl Tensor<'_> {
    /// Length in each direction.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// `None`: a type that no model here has, or more than can be.
    fn expected_bytes(&self) -> Option<usize> {
        let width = match self.dtype.as_str() {
            "F64" | "I64" => 8,
            "F32" | "I32" => 4,
            "F16" => 2,
            "I8" => 1,
            _ => return None,
        };
        self.shape.iter().try_fold(width, |bytes: usize, &length| bytes.checked_mul(length))
    }

    /// Its numbers, as `f32`.
    pub(super) fn floats(&self) -> Result<Vec<f32>> {
        Ok(match self.dtype.as_str() {
            "F64" => self.numbers(|bytes| f64::from_le_bytes(bytes) as f32),
            "F32" => self.numbers(f32::from_le_bytes),
            "F16" => self.numbers(|bytes| f16::from_le_bytes(bytes).to_f32()),
            "I8" => self.numbers(|bytes| f32::from(i8::from_le_bytes(bytes))),
            other => return Err(Error::invalid(format!("numbers of type {other} where others are needed"))),
        })
    }

    /// Its numbers, as places in a table. A negative one is beyond any table.
    pub(super) fn places(&self) -> Result<Vec<usize>> {
        Ok(match self.dtype.as_str() {
            "I64" => self.numbers(|bytes| usize::try_from(i64::from_le_bytes(bytes)).unwrap_or(usize::MAX)),
            "I32" => self.numbers(|bytes| usize::try_from(i32::from_le_bytes(bytes)).unwrap_or(usize::MAX)),
            other => return Err(Error::invalid(format!("places of type {other}, which is none for places"))),
        })
    }

    fn numbers<const WIDTH: usize, T>(&self, number: impl Fn([u8; WIDTH]) -> T) -> Vec<T> {
        self.bytes.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
    }
}
