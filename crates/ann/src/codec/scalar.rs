//! Scalar codecs: each component by itself.
//!
//! - 4 bits: a nibble a component, those of the greatest variance first; `dim` halved and rounded up bytes.
//! - 8 bits, uniform: a level is `low + step × 16 × high nibble + step × low nibble`; so first come all high nibbles, then
//!   all low ones, both in order of variance; `dim` bytes.
//! - 8 bits, not uniform: a byte a component, in the order of the vector; such a code has no head.
//! - 16 and 32 bits: see [`floats`].
//!
//! Codebook behind its head: the order of the components (u32 each; not for 8 bits that are not uniform), the
//! levels ([`Levels::write`]), the shares of nibbles (not for those either).

mod floats;
mod levels;

use std::sync::Arc;

use levels::Levels;

use super::nibbles::{head_bytes, nibble, set_nibble, shares_of};
use super::train::some_rows;
use super::wire::{self, Reader};
use super::{
    CodeLayout, CodeQuery, Codec, CodecError, CodecSpec, NibbleTables, Scale, TrainControl, check_lengths,
    spec,
};

/// Rows of a sample that are looked at.
const MOST_ROWS: usize = 16_384;

/// How the levels of a vector's components become a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nibble *j* is the level of component *j* of the order.
    Nibbles,
    /// Nibble *j* is the high half of the level of component *j* of the order, nibble `dim + j` its low half.
    Halves,
    /// Byte *j* is the level of component *j*.
    Bytes,
}

/// 4 or 8 bits a component.
#[derive(Debug)]
struct ScalarCodec {
    spec: CodecSpec,
    dim: usize,
    form: Form,
    levels: Levels,
    /// Components, those of the greatest variance first; empty for [`Form::Bytes`].
    order: Vec<u32>,
    shares: Vec<[f32; 16]>,
}

/// Trains a scalar codec; see [`super::train`].
pub(super) fn train(
    spec: &CodecSpec,
    dim: usize,
    sample: &[f32],
    control: &TrainControl<'_>,
) -> Result<Arc<dyn Codec>, CodecError> {
    let CodecSpec::Scalar { nbits, uniform, scope, .. } = *spec else {
        return Err(CodecError::Spec(format!("{spec} is not scalar")));
    };
    if let Some(codec) = floats::FloatCodec::new(spec, dim) {
        return Ok(Arc::new(codec));
    }
    let sample = &some_rows(sample, dim, MOST_ROWS)[..];
    let levels = Levels::train(nbits, uniform, scope, dim, sample, control)?;
    let mut codec = ScalarCodec {
        spec: spec.clone(),
        dim,
        form: form(nbits, uniform),
        levels,
        order: Vec::new(),
        shares: Vec::new(),
    };
    if codec.form != Form::Bytes {
        codec.order = by_variance(dim, sample);
        let mut codes = vec![0; sample.len() / dim * codec.bytes_per_vector()];
        codec.encode(sample, &mut codes);
        codec.shares = shares_of(codec.layout(), &codes);
    }
    control.check()?;
    (control.progress)(1.0);
    Ok(Arc::new(codec))
}

/// Reads a scalar codec; see [`super::read`].
pub(super) fn read(spec: &CodecSpec, dim: usize, rest: &[u8]) -> Result<Arc<dyn Codec>, CodecError> {
    let CodecSpec::Scalar { nbits, uniform, scope, .. } = *spec else {
        return Err(CodecError::Malformed(format!("{spec} is not scalar")));
    };
    let mut reader = Reader::new(rest);
    if let Some(codec) = floats::FloatCodec::new(spec, dim) {
        reader.end()?;
        return Ok(Arc::new(codec));
    }
    let form = form(nbits, uniform);
    let order = if form == Form::Bytes { Vec::new() } else { reader.order(dim)? };
    let levels = Levels::read(nbits, uniform, scope, dim, &mut reader)?;
    let nibbles = match form {
        Form::Nibbles => dim.next_multiple_of(2),
        Form::Halves => 2 * dim,
        Form::Bytes => 0,
    };
    let shares = reader.shares(nibbles)?;
    reader.end()?;
    Ok(Arc::new(ScalarCodec { spec: spec.clone(), dim, form, levels, order, shares }))
}

fn form(nbits: u8, uniform: bool) -> Form {
    match (nbits, uniform) {
        (4, _) => Form::Nibbles,
        (_, true) => Form::Halves,
        (_, false) => Form::Bytes,
    }
}

/// The components of a sample's vectors, those of the greatest variance first.
fn by_variance(dim: usize, sample: &[f32]) -> Vec<u32> {
    let rows = (sample.len() / dim) as f64;
    let mut sums = vec![(0.0_f64, 0.0_f64); dim];
    for row in sample.chunks_exact(dim) {
        for ((sum, squares), &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x);
            *squares += f64::from(x) * f64::from(x);
        }
    }
    let variances: Vec<f64> = sums.iter().map(|(sum, squares)| squares - sum * sum / rows).collect();
    let mut order: Vec<u32> = (0..dim as u32).collect();
    order.sort_by(|&a, &b| variances[b as usize].total_cmp(&variances[a as usize]));
    order
}

impl ScalarCodec {
    fn tables(&self, query: &[f32]) -> NibbleTables {
        let layout = self.layout();
        let mut tables = vec![[0.0; 16]; 2 * (layout.head + layout.tail)];
        for (j, &component) in self.order.iter().enumerate() {
            let component = component as usize;
            let product = |level: usize| query[component] * self.levels.value(component, level);
            if self.form == Form::Nibbles {
                tables[j] = std::array::from_fn(product);
            } else {
                let base = product(0);
                tables[j] = std::array::from_fn(|high| product(16 * high));
                tables[self.dim + j] = std::array::from_fn(|low| product(low) - base);
            }
        }
        NibbleTables::new(layout, tables, &self.shares, 0.0, Scale { least: 1.0, step: 0.0 })
    }
}

impl Codec for ScalarCodec {
    fn spec(&self) -> CodecSpec {
        self.spec.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn bytes_per_vector(&self) -> usize {
        if self.form == Form::Nibbles { self.dim.div_ceil(2) } else { self.dim }
    }

    fn layout(&self) -> CodeLayout {
        let bytes = self.bytes_per_vector();
        let head = if self.form == Form::Bytes { 0 } else { head_bytes(bytes, self.dim) };
        CodeLayout { head, tail: bytes - head, side: 0 }
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        check_lengths(self, vectors, codes);
        let mut chosen = vec![0; self.dim];
        for (vector, code) in
            vectors.chunks_exact(self.dim).zip(codes.chunks_exact_mut(self.bytes_per_vector()))
        {
            self.levels.choose(vector, &mut chosen);
            code.fill(0);
            let ordered = self.order.iter().map(|&component| chosen[component as usize]).enumerate();
            match self.form {
                Form::Nibbles => ordered.for_each(|(j, level)| set_nibble(code, j, level)),
                Form::Halves => ordered.for_each(|(j, level)| {
                    set_nibble(code, j, level >> 4);
                    set_nibble(code, self.dim + j, level);
                }),
                Form::Bytes => code.copy_from_slice(&chosen),
            }
        }
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        check_lengths(self, vectors, codes);
        for (vector, code) in
            vectors.chunks_exact_mut(self.dim).zip(codes.chunks_exact(self.bytes_per_vector()))
        {
            let mut place = |component: usize, level: u8| {
                vector[component] = self.levels.value(component, usize::from(level));
            };
            let ordered = self.order.iter().map(|&component| component as usize).enumerate();
            match self.form {
                Form::Nibbles => ordered.for_each(|(j, component)| place(component, nibble(code, j))),
                Form::Halves => ordered.for_each(|(j, component)| {
                    place(component, nibble(code, j) << 4 | nibble(code, self.dim + j));
                }),
                Form::Bytes => {
                    code.iter().enumerate().for_each(|(component, &level)| place(component, level));
                }
            }
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        assert_eq!(query.len(), self.dim, "the query's dimension");
        if self.form == Form::Bytes {
            return Box::new(BytesQuery { levels: &self.levels, query: query.to_vec() });
        }
        Box::new(self.tables(query))
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = spec::write_head(&self.spec, self.dim);
        wire::put_u32s(&mut bytes, &self.order);
        self.levels.write(&mut bytes);
        wire::put_f32s(&mut bytes, self.shares.as_flattened());
        bytes
    }
}

/// A query of a codec whose levels are no sums of two.
struct BytesQuery<'a> {
    levels: &'a Levels,
    query: Vec<f32>,
}

impl CodeQuery for BytesQuery<'_> {
    fn dot(&self, code: &[u8]) -> f32 {
        assert_eq!(code.len(), self.query.len(), "bytes of a code");
        // Four sums, so that one addition need not wait for the other.
        let mut sums = [0.0; 4];
        for (component, (&x, &level)) in self.query.iter().zip(code).enumerate() {
            sums[component % 4] += x * self.levels.value(component, usize::from(level));
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}

#[cfg(test)]
#[path = "scalar_tests.rs"]
mod tests;
