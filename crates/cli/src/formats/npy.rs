//! NumPy's `.npy` files: a magic, a header that is a Python literal, then the elements.
//!
//! Read: versions 1 to 3; little-endian float16 and float32 in rows, int64 and uint64 in a line, and whole numbers of
//! 32 and 64 bits in rows.
//! Written: version 1, uint64 in rows. (Format: NumPy Enhancement Proposal 1.)

use std::io::{self, Read, Write};

use codegraph_vector::{Error, Result};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::unreadable;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read. NumPy itself stops at 10,000 unless told otherwise.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Most axes that a shape may have, as in NumPy.
const MAX_AXES: usize = 64;
/// What stands in a file of neighbours for "no more".
pub(crate) const NO_NODE: u64 = u64::MAX;
/// The header is filled up so that the elements begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    F32,
    I32,
    U32,
    I64,
    U64,
}

impl Element {
    fn parse(descr: &str) -> Result<Self> {
        match descr {
            "<f2" | "=f2" => Ok(Self::F16),
            "<f4" | "=f4" => Ok(Self::F32),
            "<i4" | "=i4" => Ok(Self::I32),
            "<u4" | "=u4" => Ok(Self::U32),
            "<i8" | "=i8" => Ok(Self::I64),
            "<u8" | "=u8" => Ok(Self::U64),
            _ => {
                let shown: String = descr.chars().take(40).collect();
                let message = format!(
                    "its elements are {shown:?}; vectors are read from \"<f4\" and \"<f2\", ids from \"<u8\" and \
                     \"<i8\": convert them with .astype(\"<f4\")"
                );
                Err(Error::invalid(message))
            }
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 => 8,
        }
    }
}

/// A header that agrees with the length of its file.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    element: Element,
    shape: Vec<u64>,
}

/// Reads the header of a file of `len` bytes.
fn read_header(reader: &mut impl Read, len: u64) -> Result<Header> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(unreadable)?;
    if start[..6] != *MAGIC {
        return Err(Error::invalid("this is not a .npy file: it does not begin with its magic"));
    }
    let (header_bytes, before) = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            reader.read_exact(&mut bytes).map_err(unreadable)?;
            (u64::from(u16::from_le_bytes(bytes)), 10)
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            reader.read_exact(&mut bytes).map_err(unreadable)?;
            (u64::from(u32::from_le_bytes(bytes)), 12)
        }
        version => {
            return Err(Error::invalid(format!(".npy version {version} is not known; 1, 2 and 3 are")));
        }
    };
    let data =
        len.checked_sub(before + header_bytes).filter(|_| header_bytes <= MAX_HEADER_BYTES).ok_or_else(
            || Error::invalid(format!("its header claims {header_bytes} bytes, in a file of {len}")),
        )?;
    let mut text = vec![0; header_bytes as usize];
    reader.read_exact(&mut text).map_err(unreadable)?;
    let Literal { descr, fortran_order, shape } = Literal::parse(&text)?;
    let element = Element::parse(&descr)?;
    if fortran_order && shape.len() > 1 {
        let message = "it is in Fortran order; write it with numpy.ascontiguousarray";
        return Err(Error::invalid(message));
    }
    let elements = shape.iter().try_fold(1u64, |product, axis| product.checked_mul(*axis));
    let claimed = elements.and_then(|elements| elements.checked_mul(element.bytes()));
    if claimed != Some(data) {
        let message = format!(
            "its header claims {} elements of {} bytes, and {data} bytes follow it: the file is damaged or cut short",
            shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × "),
            element.bytes()
        );
        return Err(Error::invalid(message));
    }
    Ok(Header { element, shape })
}

/// A file of float rows.
#[derive(Debug)]
pub(crate) struct Matrix<R> {
    reader: R,
    is_half: bool,
    rows: u64,
    left: u64,
    columns: usize,
    halves: Vec<f16>,
}

impl<R: Read> Matrix<R> {
    /// Reads the header of a file of `len` bytes.
    pub(crate) fn open(mut reader: R, len: u64) -> Result<Self> {
        let Header { element, shape } = read_header(&mut reader, len)?;
        let is_half = match element {
            Element::F16 => true,
            Element::F32 => false,
            Element::I32 | Element::U32 | Element::I64 | Element::U64 => {
                return Err(Error::invalid(
                    "its elements are whole numbers, and vectors are float32 or float16",
                ));
            }
        };
        let &[rows, columns] = &shape[..] else {
            let message =
                format!("its shape has {} axes, and vectors have two: rows × dimensions", shape.len());
            return Err(Error::invalid(message));
        };
        let columns = usize::try_from(columns).ok().filter(|columns| *columns > 0);
        let columns = columns.ok_or_else(|| Error::invalid("its vectors have no dimensions"))?;
        Ok(Self { reader, is_half, rows, left: rows, columns, halves: Vec::new() })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Reads the next rows into `block`.
    pub(crate) fn read(&mut self, most: usize, block: &mut Vec<f32>) -> Result<()> {
        let rows = self.left.min(most as u64);
        self.left -= rows;
        // The header was held against the file's length, so this is no more than what is there.
        let elements = rows as usize * self.columns;
        block.resize(elements, 0.0);
        if !self.is_half {
            return self.reader.read_exact(bytemuck::cast_slice_mut(block)).map_err(unreadable);
        }
        self.halves.resize(elements, f16::ZERO);
        self.reader.read_exact(bytemuck::cast_slice_mut(&mut self.halves)).map_err(unreadable)?;
        self.halves.convert_to_f32_slice(block);
        Ok(())
    }
}

/// A file of whole numbers in a line: ids.
#[derive(Debug)]
pub(crate) struct Ids<R> {
    reader: R,
    is_signed: bool,
    count: u64,
    read: u64,
}

impl<R: Read> Ids<R> {
    /// Reads the header of a file of `len` bytes.
    pub(crate) fn open(mut reader: R, len: u64) -> Result<Self> {
        let Header { element, shape } = read_header(&mut reader, len)?;
        let is_signed = match element {
            Element::I64 => true,
            Element::U64 => false,
            Element::I32 | Element::U32 => {
                return Err(Error::invalid("its elements have 32 bits, and ids are uint64 or int64"));
            }
            Element::F16 | Element::F32 => {
                return Err(Error::invalid("its elements are floats, and ids are uint64 or int64"));
            }
        };
        match shape[..] {
            [count] | [count, 1] => Ok(Self { reader, is_signed, count, read: 0 }),
            _ => Err(Error::invalid(format!("its shape has {} axes, and ids have one", shape.len()))),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Reads the next id; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<u64>> {
        if self.read == self.count {
            return Ok(None);
        }
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes).map_err(unreadable)?;
        self.read += 1;
        if self.is_signed && i64::from_le_bytes(bytes) < 0 {
            let message = format!("row {}: {} is no id", self.read - 1, i64::from_le_bytes(bytes));
            return Err(Error::invalid(message));
        }
        Ok(Some(u64::from_le_bytes(bytes)))
    }
}

/// Reads a file of `len` bytes with neighbours, a row for each query, nearest first; [`NO_NODE`] where there are no
/// more, as negative numbers say too.
pub(crate) fn read_neighbours(reader: &mut impl Read, len: u64) -> Result<Vec<Vec<u64>>> {
    let Header { element, shape } = read_header(reader, len)?;
    let &[rows, columns] = &shape[..] else {
        let message = format!("its shape has {} axes, and neighbours have two: queries × k", shape.len());
        return Err(Error::invalid(message));
    };
    let columns = usize::try_from(columns).ok().filter(|columns| *columns > 0);
    let columns = columns.ok_or_else(|| Error::invalid("its rows are empty"))?;
    // The header was held against the file's length, so this is no more than what is there.
    let mut bytes = vec![0; rows as usize * columns * element.bytes() as usize];
    reader.read_exact(&mut bytes).map_err(unreadable)?;
    let signed = |id: i64| u64::try_from(id).unwrap_or(NO_NODE);
    let (words, doubles) = (bytes.as_chunks::<4>().0.iter(), bytes.as_chunks::<8>().0.iter());
    let ids: Vec<u64> = match element {
        Element::I32 => words.map(|word| signed(i32::from_le_bytes(*word).into())).collect(),
        Element::U32 => words.map(|word| u32::from_le_bytes(*word).into()).collect(),
        Element::I64 => doubles.map(|word| signed(i64::from_le_bytes(*word))).collect(),
        Element::U64 => doubles.map(|word| u64::from_le_bytes(*word)).collect(),
        Element::F16 | Element::F32 => {
            return Err(Error::invalid("its elements are floats, and neighbours are whole numbers"));
        }
    };
    Ok(ids.chunks_exact(columns).map(<[u64]>::to_vec).collect())
}

/// Writes whole numbers as rows of so many.
pub(crate) fn write_u64s(mut out: impl Write, numbers: &[u64], columns: usize) -> io::Result<()> {
    write_u64_header(&mut out, (numbers.len() / columns) as u64, columns as u64)?;
    out.write_all(bytemuck::cast_slice(numbers))?;
    out.flush()
}

/// Writes the header of a `rows` × `columns` file of uint64; the elements follow it row by row.
fn write_u64_header(out: &mut impl Write, rows: u64, columns: u64) -> io::Result<()> {
    let mut header = format!("{{'descr': '<u8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())
}

/// The header's Python literal: a dictionary of exactly three keys.
#[derive(Debug)]
struct Literal {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Literal {
    fn parse(text: &[u8]) -> Result<Self> {
        let mut scan = Scan { text, at: 0 };
        let parsed = Self::parse_dictionary(&mut scan);
        parsed.ok_or_else(|| Error::invalid(format!("its header makes no sense at byte {}", scan.at)))
    }

    fn parse_dictionary(scan: &mut Scan<'_>) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        scan.expect(b'{')?;
        while !scan.take(b'}') {
            let key = scan.string()?;
            scan.expect(b':')?;
            let is_new = match key.as_str() {
                "descr" => descr.replace(scan.string()?).is_none(),
                "fortran_order" => fortran_order.replace(scan.truth()?).is_none(),
                "shape" => shape.replace(scan.tuple()?).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
            if !scan.take(b',') {
                scan.expect(b'}')?;
                break;
            }
        }
        scan.skip_space();
        let is_end = scan.at == scan.text.len();
        is_end.then_some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// Reads tokens; each method skips white space first.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.skip_space();
        let quote = *self.text.get(self.at).filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|byte| *byte == quote)?;
        let string = std::str::from_utf8(&rest[..end]).ok().filter(|string| !string.contains('\\'))?;
        self.at += end + 2;
        Some(string.to_owned())
    }

    fn truth(&mut self) -> Option<bool> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Some(value);
            }
        }
        None
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        let mut axes = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            if axes.len() == MAX_AXES {
                return None;
            }
            axes.push(self.number()?);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Some(axes)
    }

    fn number(&mut self) -> Option<u64> {
        self.skip_space();
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok()?;
        self.at += digits;
        text.parse().ok()
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
