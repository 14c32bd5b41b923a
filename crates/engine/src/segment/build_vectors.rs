//! Writes what a segment keeps of its rows' vectors: floats, half floats, codes, a sample.
//!
//! What always holds: a row that comes with nothing but a code keeps that code and its codebook, bit for bit; half
//! floats are copied as they are; nothing is written as if more were known of a vector than there is.

use std::ops::Range;
use std::sync::Arc;

use codegraph_vector_ann::codec::BLOCK_ROWS;
use codegraph_vector_base::{Error, Result, RowOrdinal};
use codegraph_vector_storage::SegmentWriter;
use half::f16;

use super::build::{BuildRow, Plan, RowSource, section};
use super::section::kind;
use super::vectors::stored_checksum;
use crate::compression::{Keep, TrainedCodec, direction};
use crate::rows::{
    GroupPlace, SAMPLE_ROWS, padding, place_groups, sample_key, write_codebooks, write_groups,
    write_sample_head,
};

/// Rows that are encoded in one go.
const ENCODE_ROWS: usize = 16 * BLOCK_ROWS;
/// Tails of codes that are held until all blocks are written; those beyond are made a second time.
const TAILS_BYTES: usize = if cfg!(test) { 4 << 10 } else { 64 << 20 };

/// Writes all sections that have to do with vectors.
pub(super) fn write<S: Copy>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
) -> Result<()> {
    check_sources(plan, source)?;
    let mut checksums = Vec::new();
    match plan.encoding.keep {
        Keep::Full => write_full(writer, plan, source)?,
        Keep::F16 => write_halves(writer, plan, source, &mut checksums)?,
        Keep::None => checksums = vec![0; plan.rows.len()],
    }
    let groups = groups(plan, source)?;
    if !groups.is_empty() {
        section(writer, kind::CODEBOOKS, |sink| {
            write_codebooks(groups.iter().map(|group| &*group.trained), sink)
        })?;
        let of_codes = (plan.encoding.keep == Keep::None).then_some(&mut checksums[..]);
        write_codes(writer, plan, source, &groups, of_codes)?;
    }
    if plan.encoding.keep < Keep::Full {
        writer.section(kind::STORED_CHECKSUMS, bytemuck::cast_slice(&checksums))?;
    }
    if plan.encoding.keep == Keep::None {
        write_sample(writer, plan, source)?;
    }
    Ok(())
}

/// Refuses to write rows as if more were known of them than is.
fn check_sources<S: Copy>(plan: &Plan<'_, S>, source: &dyn RowSource<S>) -> Result<()> {
    if plan.rows.iter().all(|row| source.keep(row.source) >= plan.encoding.keep) {
        return Ok(());
    }
    let message =
        format!("a segment that keeps vectors {} of rows that are kept by less", plan.encoding.keep);
    Err(Error::invalid(message))
}

fn write_full<S: Copy>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
) -> Result<()> {
    writer.begin(kind::VECTORS)?;
    for row in plan.rows {
        source.vector(row.source, &mut |vector| writer.write(bytemuck::cast_slice(vector)))?;
    }
    writer.end()
}

fn write_halves<S: Copy>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
    checksums: &mut Vec<u32>,
) -> Result<()> {
    writer.begin(kind::VECTORS_F16)?;
    let mut made = Vec::new();
    for row in plan.rows {
        let mut put = |halves: &[f16]| {
            let bytes = bytemuck::cast_slice(halves);
            checksums.push(stored_checksum(row.id, bytes, None));
            writer.write(bytes)
        };
        if source.keep(row.source) == Keep::F16 {
            source.half(row.source, &mut put)?;
            continue;
        }
        source.vector(row.source, &mut |vector| {
            made.clear();
            made.extend(direction(vector, row.columns.norm).map(f16::from_f32));
            put(&made)
        })?;
    }
    writer.end()
}

/// Rows that get codes of one codebook.
struct Group {
    trained: Arc<TrainedCodec>,
    /// Ascending; of all rows if there is one group only.
    ordinals: Vec<RowOrdinal>,
}

/// Which rows get codes of what.
fn groups<S: Copy>(plan: &Plan<'_, S>, source: &dyn RowSource<S>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut put = |trained: &Arc<TrainedCodec>, ordinal| match groups
        .iter_mut()
        .find(|group| group.trained.id == trained.id)
    {
        Some(group) => group.ordinals.push(ordinal),
        None => groups.push(Group { trained: trained.clone(), ordinals: vec![ordinal] }),
    };
    for (ordinal, row) in plan.rows.iter().enumerate() {
        let made_by = match source.keep(row.source) {
            Keep::None => source.codec(row.source)?,
            Keep::F16 | Keep::Full => plan.encoding.codec.as_ref(),
        };
        match made_by {
            Some(trained) => put(trained, ordinal as RowOrdinal),
            None if plan.encoding.keep > Keep::None => return Ok(Vec::new()),
            None => return Err(Error::invalid("a segment of codes only, and no codec to make them by")),
        }
    }
    Ok(groups)
}

fn write_codes<S: Copy>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
    groups: &[Group],
    mut checksums: Option<&mut [u32]>,
) -> Result<()> {
    let sizes = groups.iter().enumerate().map(|(number, group)| {
        let rows = group.ordinals.len();
        (number as u32, rows as u32, group.trained.codec.layout().packed_bytes(rows))
    });
    let places = place_groups(&sizes.collect::<Vec<_>>());
    writer.begin(kind::CODES)?;
    write_groups(&places, &mut |bytes| writer.write(bytes))?;
    for (group, GroupPlace { ordinals, codes, .. }) in groups.iter().zip(&places) {
        if let Some(place) = ordinals {
            writer.write(bytemuck::cast_slice(&group.ordinals))?;
            writer.write(padding(place.end))?;
        }
        let mut encoder = Encoder { plan, source, group, inputs: Vec::new(), codes: Vec::new() };
        encoder.write(writer, checksums.as_deref_mut())?;
        writer.write(padding(codes.end))?;
    }
    writer.end()
}

/// Makes or copies the codes of a group.
struct Encoder<'a, S> {
    plan: &'a Plan<'a, S>,
    source: &'a dyn RowSource<S>,
    group: &'a Group,
    /// Vectors that are to be encoded, and their codes behind each other.
    inputs: Vec<f32>,
    codes: Vec<u8>,
}

impl<S: Copy> Encoder<'_, S> {
    /// Writes the packed codes, and their checksums by ordinal.
    fn write(&mut self, writer: &mut SegmentWriter<'_>, mut checksums: Option<&mut [u32]>) -> Result<()> {
        let (trained, rows) = (self.group.trained.clone(), self.group.ordinals.len());
        let (layout, code_bytes) = (trained.codec.layout(), trained.code_bytes());
        let (mut block, mut tails, mut held) = (Vec::new(), Vec::new(), 0);
        for start in (0..rows).step_by(ENCODE_ROWS) {
            let range = start..rows.min(start + ENCODE_ROWS);
            self.encode(range.clone())?;
            if let Some(checksums) = &mut checksums {
                for (ordinal, code) in
                    self.group.ordinals[range.clone()].iter().zip(self.codes.chunks(code_bytes))
                {
                    let id = self.row(*ordinal).id;
                    checksums[*ordinal as usize] = stored_checksum(id, code, Some(trained.id));
                }
            }
            for codes in self.codes.chunks(BLOCK_ROWS * code_bytes) {
                block.clear();
                layout.pack_block(codes, &mut block);
                writer.write(&block)?;
            }
            if held == start && tails.len() < TAILS_BYTES {
                layout.pack_tails(&self.codes, &mut tails);
                held = range.end;
            }
        }
        writer.write(&tails)?;
        for start in (held..rows).step_by(ENCODE_ROWS) {
            self.encode(start..rows.min(start + ENCODE_ROWS))?;
            tails.clear();
            layout.pack_tails(&self.codes, &mut tails);
            writer.write(&tails)?;
        }
        Ok(())
    }

    /// Puts the codes of some of the group's rows into `codes`: copied where there is one of this codebook.
    fn encode(&mut self, rows: Range<usize>) -> Result<()> {
        let trained = &self.group.trained;
        let (code_bytes, dimension) = (trained.code_bytes(), trained.codec.dim());
        self.codes.clear();
        self.codes.resize(rows.len() * code_bytes, 0);
        self.inputs.clear();
        let (mut fresh, mut code) = (Vec::new(), Vec::new());
        for (place, ordinal) in self.group.ordinals[rows].iter().enumerate() {
            let row = self.row(*ordinal);
            if self.source.codec(row.source)?.is_some_and(|made_by| made_by.id == trained.id) {
                self.source.code(row.source, &mut code)?;
                self.codes[place * code_bytes..][..code_bytes].copy_from_slice(&code);
                continue;
            }
            fresh.push(place);
            let inputs = &mut self.inputs;
            self.source.vector(row.source, &mut |vector| {
                trained.push_input(vector, row.columns.norm, inputs);
                Ok(())
            })?;
        }
        let mut made = vec![0; fresh.len() * code_bytes];
        debug_assert_eq!(self.inputs.len(), fresh.len() * dimension);
        trained.codec.encode(&self.inputs, &mut made);
        for (place, code) in fresh.iter().zip(made.chunks_exact(code_bytes)) {
            self.codes[place * code_bytes..][..code_bytes].copy_from_slice(code);
        }
        Ok(())
    }

    fn row(&self, ordinal: RowOrdinal) -> BuildRow<S> {
        self.plan.rows[ordinal as usize]
    }
}

/// Writes the sample: of the rows whose vector is at hand, those with the least keys.
fn write_sample<S: Copy>(
    writer: &mut SegmentWriter<'_>,
    plan: &Plan<'_, S>,
    source: &dyn RowSource<S>,
) -> Result<()> {
    let at_hand = plan.rows.iter().enumerate().filter(|(_, row)| source.has_raw(row.source));
    let mut keyed: Vec<(u64, RowOrdinal)> =
        at_hand.map(|(ordinal, row)| (sample_key(row.id), ordinal as RowOrdinal)).collect();
    if keyed.len() > SAMPLE_ROWS {
        keyed.select_nth_unstable(SAMPLE_ROWS);
        keyed.truncate(SAMPLE_ROWS);
    }
    let mut ordinals: Vec<RowOrdinal> = keyed.into_iter().map(|(_, ordinal)| ordinal).collect();
    ordinals.sort_unstable();
    writer.begin(kind::RAW_SAMPLE)?;
    write_sample_head(&ordinals, plan.dimension, &mut |bytes| writer.write(bytes))?;
    for ordinal in ordinals {
        let row = plan.rows[ordinal as usize];
        source.raw(row.source, &mut |vector| writer.write(bytemuck::cast_slice(vector)))?;
    }
    writer.end()
}
