//! The arrays of a codebook as bytes: 4-byte little-endian numbers, one after the other.
//!
//! What is read is checked against the bytes that are there before anything is allocated.

use super::CodecError;

pub(crate) fn put_u32s(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

pub(crate) fn put_f32s(bytes: &mut Vec<u8>, numbers: &[f32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

/// What is left to read of a codebook.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| malformed("it is too short"))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn words(&mut self, count: usize) -> Result<impl Iterator<Item = [u8; 4]> + 'a, CodecError> {
        let bytes = count.checked_mul(4).ok_or_else(|| malformed("it is too short"))?;
        Ok(self.bytes(bytes)?.as_chunks::<4>().0.iter().copied())
    }

    pub(crate) fn u32s(&mut self, count: usize) -> Result<Vec<u32>, CodecError> {
        Ok(self.words(count)?.map(u32::from_le_bytes).collect())
    }

    /// Finite numbers.
    pub(crate) fn f32s(&mut self, count: usize) -> Result<Vec<f32>, CodecError> {
        let numbers: Vec<f32> = self.words(count)?.map(f32::from_le_bytes).collect();
        match crate::check_finite(&numbers) {
            Ok(()) => Ok(numbers),
            Err(_) => Err(malformed("a number is not finite")),
        }
    }

    /// Shares of the values of so many nibbles.
    pub(crate) fn shares(&mut self, nibbles: usize) -> Result<Vec<[f32; 16]>, CodecError> {
        let shares = self.f32s(nibbles.saturating_mul(16))?;
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(malformed("a share is not between 0 and 1"));
        }
        Ok(shares.as_chunks().0.to_vec())
    }

    /// An order of the numbers below `count`.
    pub(crate) fn order(&mut self, count: usize) -> Result<Vec<u32>, CodecError> {
        let order = self.u32s(count)?;
        let mut seen = vec![false; count];
        for &at in &order {
            match seen.get_mut(at as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(malformed("an order names something twice or what is not there")),
            }
        }
        Ok(order)
    }

    /// That nothing is left.
    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed("it is too long")) }
    }
}

pub(crate) fn malformed(why: &str) -> CodecError {
    CodecError::Malformed(format!("the codebook is damaged: {why}"))
}
