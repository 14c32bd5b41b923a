//! Components, each rounded by itself, and where in a code the bits of their indices stand.

use super::levels::{Curve, FREE_BITS, Levels, MAX_BITS, MAX_PARTS, parts};
use super::plan::{self, Places};
use crate::codec::CodecError;
use crate::codec::wire::{Reader, malformed, put_f32s, put_u32s};

/// A component that the code tells something of.
#[derive(Clone, Debug, PartialEq)]
struct Component {
    levels: Levels,
    places: Places,
}

/// The components of which a code tells something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Components(Vec<Component>);

/// Bits and places of components, whose levels are not known yet.
pub(crate) struct Plan(Vec<(usize, Places)>);

/// What a nibble adds to a product, by its value, if the component's weight is 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The component's number.
    pub(crate) component: usize,
    /// The nibble's number.
    pub(crate) nibble: usize,
    /// By value.
    pub(crate) told: [f32; 16],
}

impl Components {
    /// `4 × nibbles` bits in all for components of which these are the curves; also which of them got some.
    ///
    /// There must be components enough: `nibbles <= 2 × curves.len()`.
    pub(crate) fn train(mut curves: Vec<Curve>, nibbles: usize) -> (Self, Vec<usize>) {
        let rate = 4.0 * nibbles as f64 / curves.len() as f64;
        let variances: Vec<f64> = curves.iter().map(|curve| curve.errors[0]).collect();
        let weights: Vec<f64> = variances.iter().map(|variance| variance.powf(exponent(rate))).collect();
        let bits = plan::allocate(&curves, &weights, nibbles);
        let kept: Vec<usize> = (0..curves.len()).filter(|&component| bits[component] > 0).collect();
        let levels: Vec<_> = kept.iter().map(|&at| curves[at].levels.swap_remove(bits[at])).collect();
        let errors: Vec<f64> = kept.iter().map(|&at| curves[at].errors[bits[at]]).collect();
        let kept_variances: Vec<f64> = kept.iter().map(|&at| variances[at]).collect();
        let places = plan::place(&levels, &kept_variances, &errors);
        let components = levels.into_iter().zip(places).map(|(levels, places)| Component { levels, places });
        (Self(components.collect()), kept)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sum of the greatest sizes of levels.
    pub(crate) fn reach(&self) -> f64 {
        self.0.iter().map(|component| component.levels.reach()).sum()
    }

    /// Puts the indices of `count` rows into zeros, the bytes of all rows at one place of the code lying together as
    /// their values along one component do. `rounded` is told values and what they became, component by component.
    pub(crate) fn encode(
        &self,
        values: &[f32],
        count: usize,
        columns: &mut [u8],
        mut rounded: impl FnMut(&[f32], &[f32]),
    ) {
        let (mut indices, mut became) = (vec![0; count], vec![0.0; count]);
        for (Component { levels, places }, values) in self.0.iter().zip(values.chunks_exact(count)) {
            levels.nearest(values, &mut indices, &mut became);
            rounded(values, &became);
            for part in parts(levels.bits()) {
                let (at, mask) = (places[part.number], (1 << part.bits) - 1);
                for (byte, index) in columns[at / 8 * count..][..count].iter_mut().zip(&indices) {
                    *byte |= (((index >> part.below) & mask) << (at % 8)) as u8;
                }
            }
        }
    }

    /// What nibbles add, component by component.
    pub(crate) fn shares(&self) -> impl Iterator<Item = Share> {
        self.0.iter().enumerate().flat_map(|(component, Component { levels, places })| {
            parts(levels.bits()).map(move |part| {
                let (at, told) = (places[part.number], levels.part(part));
                let (shift, mask) = (at % FREE_BITS, (1 << part.bits) - 1);
                let told = std::array::from_fn(|value| told[(value >> shift) & mask]);
                Share { component, nibble: at / FREE_BITS, told }
            })
        })
    }

    /// Of each its bits and the places of its parts.
    pub(crate) fn put_plan(&self, bytes: &mut Vec<u8>) {
        for Component { levels, places } in &self.0 {
            put_u32s(bytes, &[levels.bits() as u32]);
            put_u32s(bytes, &places.map(|place| place as u32));
        }
    }

    /// The levels of all.
    pub(crate) fn put_levels(&self, bytes: &mut Vec<u8>) {
        for component in &self.0 {
            match &component.levels {
                Levels::Free(levels) => put_f32s(bytes, levels),
                Levels::Even { least, step, .. } => put_f32s(bytes, &[*least, *step]),
            }
        }
    }

    /// What [`Components::put_levels`] wrote.
    pub(crate) fn read_levels(plan: Plan, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let read = |(bits, places): (usize, Places)| {
            let levels = if bits <= FREE_BITS {
                let levels = reader.f32s(1_usize << bits)?;
                if !levels.is_sorted() {
                    return Err(malformed("the levels of a component are not in order"));
                }
                Levels::Free(levels)
            } else {
                let range = reader.f32s(2)?;
                Levels::Even { least: range[0], step: range[1], bits }
            };
            Ok(Component { levels, places })
        };
        Ok(Self(plan.0.into_iter().map(read).collect::<Result<_, _>>()?))
    }
}

impl Plan {
    /// What [`Components::put_plan`] wrote of `count` components, for so many nibbles.
    pub(crate) fn read(reader: &mut Reader<'_>, count: usize, nibbles: usize) -> Result<Self, CodecError> {
        let numbers = reader.u32s(count.saturating_mul(1 + MAX_PARTS))?;
        let mut taken = vec![0_u8; nibbles];
        let mut take = |at: usize, bits: usize| {
            let (shift, mask) = (at % FREE_BITS, (1_u8 << bits) - 1);
            let nibble = taken
                .get_mut(at / FREE_BITS)
                .filter(|taken| shift + bits <= FREE_BITS && **taken & (mask << shift) == 0);
            *nibble.ok_or_else(|| malformed("parts of a code overlap"))? |= mask << shift;
            Ok::<(), CodecError>(())
        };
        let mut plan = Vec::with_capacity(count);
        for &[bits, places @ ..] in numbers.as_chunks::<{ 1 + MAX_PARTS }>().0 {
            let (bits, places): (usize, Places) = (bits as usize, places.map(|place| place as usize));
            if !(1..=MAX_BITS).contains(&bits) {
                return Err(malformed("a component has no bits, or too many"));
            }
            for part in parts(bits) {
                take(places[part.number], part.bits)?;
            }
            plan.push((bits, places));
        }
        Ok(Self(plan))
    }
}

/// With bits enough, errors count as they change scores: by the variance of the queries, which vary as the rows do.
/// With few bits that would leave too many components without any, and the weights are evened out. Measured on
/// embeddings of code of 384 components: at 1 bit a component 0.15 is best, at 2 bits 0.5, at 4 bits 0.75, at 8
/// bits 0.9.
fn exponent(rate: f64) -> f64 {
    (1.0 - 1.0 / rate).max(0.15)
}
