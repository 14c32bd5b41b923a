//! Short codes of rows that are rotated to their principal axes: levels of the most telling components, in nibbles that
//! kernels look up.

use crate::codec::estimate::round;
use crate::codec::nibbles::put_columns;
use crate::codec::transform::{Components, Curve, Plan, Share};
use crate::codec::wire::{Reader, malformed, put_u32s};
use crate::codec::{BLOCK_ROWS, CodeLayout, CodecError, TrainControl};
use crate::kernels::look_up::{Look, LookUps, ROWS, Shape};
use crate::linear::in_parallel;

/// Rows that levels are learned from: more would tell no better.
const LEVEL_ROWS: usize = 4096;

/// Components for each byte of a code. Measured on embeddings of code, of 256 components after the rotation, and questions
/// about it: of the true 10 nearest 0.990 are found in 512 cells by codes of 64 bytes, 0.980 by 48, 0.965 by 40.
const COMPONENTS_PER_BYTE: usize = 4;

/// Makes codes, and tables of what they add to products.
#[derive(Clone, Debug)]
pub(in crate::index) struct Heads {
    bytes: usize,
    /// The axis of each component.
    kept: Vec<u32>,
    components: Components,
    shares: Vec<Share>,
}

/// What the codes of some blocks come to, block by block.
#[derive(Debug, Default)]
pub(in crate::index) struct Sums {
    pub(in crate::index) sums: Vec<[u16; ROWS]>,
    /// The lanes that are not below the bar.
    pub(in crate::index) masks: Vec<u64>,
    bars: Vec<u16>,
}

/// What a query's sums stand for: `least + unit × sum`.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Unit {
    pub(in crate::index) unit: f32,
    pub(in crate::index) least: f32,
}

impl Heads {
    /// Learned from rotated rows, row-major.
    pub(in crate::index) fn train(
        sample: &[f32],
        dim: usize,
        control: &TrainControl<'_>,
    ) -> Result<Self, CodecError> {
        let rows = sample.len() / dim;
        let count = rows.min(LEVEL_ROWS);
        let curves = in_parallel(control.threads, dim, |component| {
            Curve::new((0..count).map(|at| sample[at * rows / count * dim + component]).collect())
        });
        control.check()?;
        let bytes = dim.div_ceil(COMPONENTS_PER_BYTE);
        let (components, kept) = Components::train(curves, 2 * bytes);
        Ok(Self::new(bytes, kept.into_iter().map(|at| at as u32).collect(), components))
    }

    fn new(bytes: usize, kept: Vec<u32>, components: Components) -> Self {
        let shares = components.shares().collect();
        Self { bytes, kept, components, shares }
    }

    /// How codes are laid out: all of a code is looked at.
    pub(in crate::index) fn layout(&self) -> CodeLayout {
        CodeLayout { head: self.bytes, tail: 0, side: 0 }
    }

    /// Adds up what the codes of the blocks at `places` come to by these tables. `bar` tells the least sum of a block that
    /// is worth a look.
    pub(in crate::index) fn look_up(
        &self,
        tables: &[[u8; 16]],
        codes: &[u8],
        places: &[u32],
        bar: impl Fn(u32) -> u16,
        found: &mut Sums,
    ) {
        let Sums { sums, masks, bars } = found;
        bars.clear();
        bars.extend(places.iter().map(|&place| bar(place)));
        sums.resize(places.len(), [0; ROWS]);
        masks.resize(places.len(), 0);
        let layout = self.layout();
        let shape = Shape { block_bytes: layout.block_bytes(), columns: 0..layout.head, dense: true };
        let look = Look { tables, shift: u16::BITS as u16, bars, sums, masks };
        LookUps::best().scan(&shape, codes, places, &mut [look]);
    }

    /// Bytes of a code.
    pub(in crate::index) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Codes of rotated rows, one after the other.
    pub(in crate::index) fn encode(&self, rotated: &[f32], dim: usize) -> Vec<u8> {
        let rows = rotated.len() / dim;
        let mut codes = Vec::with_capacity(rows * self.bytes);
        for rotated in rotated.chunks(BLOCK_ROWS * dim) {
            let count = rotated.len() / dim;
            let mut values = Vec::with_capacity(count * self.kept.len());
            for &at in &self.kept {
                values.extend(rotated.chunks_exact(dim).map(|row| row[at as usize]));
            }
            let mut columns = vec![0; count * self.bytes];
            self.components.encode(&values, count, &mut columns, |_, _| ());
            let start = codes.len();
            codes.resize(start + count * self.bytes, 0);
            put_columns(&columns, count, &mut codes[start..], self.bytes);
        }
        codes
    }

    /// Tables of what codes add to the product with a query that is rotated.
    pub(in crate::index) fn tables(
        &self,
        rotated: &[f32],
        floats: &mut Vec<[f32; 16]>,
        tables: &mut Vec<[u8; 16]>,
    ) -> Unit {
        floats.clear();
        floats.resize(2 * self.bytes, [0.0; 16]);
        for Share { component, nibble, told } in &self.shares {
            let weight = rotated[self.kept[*component] as usize];
            for (entry, told) in floats[*nibble].iter_mut().zip(told) {
                *entry += weight * told;
            }
        }
        let (unit, least) = round(floats, tables);
        Unit { unit, least }
    }

    /// Bytes of a code and number of components; the axes of the components; their bits and places; their levels.
    pub(in crate::index) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_u32s(&mut bytes, &[self.bytes as u32, self.kept.len() as u32]);
        put_u32s(&mut bytes, &self.kept);
        self.components.put_plan(&mut bytes);
        self.components.put_levels(&mut bytes);
        bytes
    }

    /// What [`Heads::write`] wrote for rows of `dim` components. The bytes may be anything.
    pub(in crate::index) fn read(bytes: &[u8], dim: usize) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let numbers = reader.u32s(2)?;
        let (code_bytes, count) = (numbers[0] as usize, numbers[1] as usize);
        if !(1..=dim).contains(&code_bytes) || count > dim {
            return Err(malformed("codes have no bytes, or too many"));
        }
        let kept = reader.u32s(count)?;
        if kept.iter().any(|&at| at as usize >= dim) {
            return Err(malformed("a component has no axis"));
        }
        let plan = Plan::read(&mut reader, count, 2 * code_bytes)?;
        let components = Components::read_levels(plan, &mut reader)?;
        reader.end()?;
        // A sum of products has to be a finite number, whatever the query.
        if components.reach() > f64::from(f32::MAX).sqrt() {
            return Err(malformed("levels are too great"));
        }
        Ok(Self::new(code_bytes, kept, components))
    }
}
