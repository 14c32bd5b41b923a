//! 16 and 32 bits a component: IEEE halves, bfloat16, and floats, little-endian, of vectors as they are.
//!
//! Halves are rounded to the nearest, to even; what is too great for one becomes the greatest. Floats are kept to the
//! bit. Codes that nothing was encoded as are decoded too: infinity as the greatest number, NaN as 0.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::{CodeLayout, CodeQuery, Codec, CodecSpec, Input, check_lengths, spec};
use crate::Kernels;
use crate::numeric::dot_f64;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Half,
    Brain,
    Full,
}

#[derive(Debug)]
pub(super) struct FloatCodec {
    spec: CodecSpec,
    dim: usize,
    kind: Kind,
}

/// Numbers that are decoded at a time.
const RUN: usize = 256;

impl FloatCodec {
    /// `None` if the spec is not of 16 or 32 bits.
    pub(super) fn new(spec: &CodecSpec, dim: usize) -> Option<Self> {
        let kind = match spec {
            CodecSpec::Scalar { nbits: 16, brain: false, .. } => Kind::Half,
            CodecSpec::Scalar { nbits: 16, brain: true, .. } => Kind::Brain,
            CodecSpec::Scalar { nbits: 32, .. } => Kind::Full,
            _ => return None,
        };
        Some(Self { spec: spec.clone(), dim, kind })
    }
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Half | Self::Brain => 2,
            Self::Full => 4,
        }
    }

    fn encode(self, numbers: &[f32], code: &mut [u8]) {
        match self {
            Self::Half => {
                for (x, place) in numbers.iter().zip(code.as_chunks_mut().0) {
                    *place = f16::from_f32(*x).clamp(f16::MIN, f16::MAX).to_le_bytes();
                }
            }
            Self::Brain => {
                for (x, place) in numbers.iter().zip(code.as_chunks_mut().0) {
                    *place = bf16::from_f32(*x).clamp(bf16::MIN, bf16::MAX).to_le_bytes();
                }
            }
            Self::Full => {
                for (x, place) in numbers.iter().zip(code.as_chunks_mut().0) {
                    *place = x.to_le_bytes();
                }
            }
        }
    }

    /// Decodes up to [`RUN`] numbers.
    fn decode(self, code: &[u8], numbers: &mut [f32]) {
        let greatest = match self {
            Self::Half => {
                let mut halves = [f16::ZERO; RUN];
                for (half, bytes) in halves.iter_mut().zip(code.as_chunks().0) {
                    *half = f16::from_le_bytes(*bytes);
                }
                halves[..numbers.len()].convert_to_f32_slice(numbers);
                f16::MAX.to_f32()
            }
            Self::Brain => {
                for (x, bytes) in numbers.iter_mut().zip(code.as_chunks().0) {
                    *x = bf16::from_le_bytes(*bytes).to_f32();
                }
                bf16::MAX.to_f32()
            }
            Self::Full => {
                for (x, bytes) in numbers.iter_mut().zip(code.as_chunks().0) {
                    *x = f32::from_le_bytes(*bytes);
                }
                f32::MAX
            }
        };
        for x in numbers {
            *x = if x.is_nan() { 0.0 } else { x.clamp(-greatest, greatest) };
        }
    }
}

impl Codec for FloatCodec {
    fn spec(&self) -> CodecSpec {
        self.spec.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn bytes_per_vector(&self) -> usize {
        self.dim * self.kind.bytes()
    }

    fn layout(&self) -> CodeLayout {
        CodeLayout { head: 0, tail: self.bytes_per_vector(), side: 0 }
    }

    fn input(&self) -> Input {
        Input::AsGiven
    }

    fn encode(&self, vectors: &[f32], codes: &mut [u8]) {
        check_lengths(self, vectors, codes);
        self.kind.encode(vectors, codes);
    }

    fn decode(&self, codes: &[u8], vectors: &mut [f32]) {
        check_lengths(self, vectors, codes);
        for (code, numbers) in codes.chunks(RUN * self.kind.bytes()).zip(vectors.chunks_mut(RUN)) {
            self.kind.decode(code, numbers);
        }
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        assert_eq!(query.len(), self.dim, "the query's dimension");
        Box::new(FloatQuery { kind: self.kind, query: query.to_vec() })
    }

    fn write(&self) -> Vec<u8> {
        spec::write_head(&self.spec, self.dim)
    }
}

struct FloatQuery {
    kind: Kind,
    query: Vec<f32>,
}

impl FloatQuery {
    /// Adds up what `product` says of the runs of query and code.
    fn sum<T: std::iter::Sum>(&self, code: &[u8], product: impl Fn(&[f32], &[f32]) -> T) -> T {
        let runs = self.query.chunks(RUN).zip(code.chunks(RUN * self.kind.bytes()));
        let mut numbers = [0.0; RUN];
        let products = runs.map(|(query, code)| {
            let numbers = &mut numbers[..query.len()];
            self.kind.decode(code, numbers);
            product(query, numbers)
        });
        products.sum()
    }
}

impl CodeQuery for FloatQuery {
    fn dot(&self, code: &[u8]) -> f32 {
        assert_eq!(code.len(), self.query.len() * self.kind.bytes(), "bytes of a code");
        let kernels = Kernels::best();
        let dot: f32 = self.sum(code, |query, numbers| kernels.dot(query, numbers));
        if dot.is_finite() {
            return dot;
        }
        // It overflowed on the way, perhaps to infinities of both signs.
        let dot: f64 = self.sum(code, dot_f64);
        dot.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    }
}
