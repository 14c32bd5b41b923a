//! `cgv compress`: what the store keeps of its vectors.

mod shown;

use std::num::{NonZeroU16, NonZeroUsize};
use std::thread;

use clap::{Args, Subcommand, ValueEnum};
use codegraph_vector::{CodecSpec, CompressRequest, Keep, Scope, Target};

use crate::args::Globals;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{location, output};
use shown::Outcome;

/// Keep vectors as short codes, trained on the store's own vectors and measured against them
///
/// Flushes, trains, encodes everything anew, and waits until that is done; others may read and search meanwhile. What
/// is written later is encoded the same way. Searches scan the codes and rank the best of them anew by their
/// vectors, where those are kept.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv compress auto --min-recall 0.95              the smallest codes that find 95 of 100\n  \
    cgv compress transform --bytes 48                48 bytes a vector; vectors kept to rank the best\n  \
    cgv compress transform --bytes 192 --keep none   codes alone: the store shrinks, vectors are estimates\n  \
    cgv compress product --m 48 --nbits 8 --rotate   product quantisation with a learned rotation\n  \
    cgv compress binary --bits 1 --keep f16          one bit a number; half floats to rank the best\n  \
    cgv compress none                                vectors as they are")]
pub(crate) struct CompressArgs {
    #[command(subcommand)]
    method: Method,
}

/// By what.
#[derive(Debug, Subcommand)]
enum Method {
    Scalar(ScalarArgs),
    Product(ProductArgs),
    Binary(BinaryArgs),
    Transform(TransformArgs),
    Auto(AutoArgs),
    None(NoneArgs),
}

/// Each number by itself
#[derive(Args, Debug)]
struct ScalarArgs {
    /// Bits a number: 4, 8, 16 (half floats) or 32 (which loses nothing)
    #[arg(long, value_name = "B", default_value = "8", value_parser = scalar_bits)]
    nbits: u8,
    /// Levels where the numbers are, rather than at equal distances
    #[arg(long)]
    non_uniform: bool,
    /// Where the levels come from
    #[arg(long, value_name = "SCOPE", default_value = "dimension")]
    scope: ShownScope,
    /// With 16 bits: bfloat16 rather than IEEE half floats
    #[arg(long)]
    bfloat16: bool,
    #[command(flatten)]
    policy: Policy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShownScope {
    /// Each dimension has its own
    Dimension,
    /// All dimensions share them
    Global,
}

/// Product quantisation: pieces of a vector by the nearest of some trained ones
#[derive(Args, Debug)]
struct ProductArgs {
    /// Pieces of a vector
    #[arg(long, value_name = "M")]
    m: NonZeroUsize,
    /// Bits a piece
    #[arg(long, value_name = "B", default_value = "8", value_parser = clap::value_parser!(u8).range(4..=12))]
    nbits: u8,
    /// Learn a rotation first (OPQ)
    #[arg(long)]
    rotate: bool,
    #[command(flatten)]
    policy: Policy,
}

/// RaBitQ: a random rotation, then a few bits a number
#[derive(Args, Debug)]
struct BinaryArgs {
    /// Bits a number
    #[arg(long, value_name = "B", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=8))]
    bits: u8,
    #[command(flatten)]
    policy: Policy,
}

/// Transform coding: a trained rotation, then more bits for directions that tell more
#[derive(Args, Debug)]
struct TransformArgs {
    /// Bytes of a code
    #[arg(long, value_name = "N")]
    bytes: NonZeroUsize,
    #[command(flatten)]
    policy: Policy,
}

/// Measure several codecs on the store's own vectors, and take the smallest that is good enough
#[derive(Args, Debug)]
struct AutoArgs {
    /// What is good enough: the share of the true 10 nearest that a search finds, from 0 to 1
    #[arg(long, value_name = "R", value_parser = recall)]
    min_recall: f32,
    /// Most bytes of a code
    #[arg(long, value_name = "B")]
    max_bytes: Option<NonZeroUsize>,
    #[command(flatten)]
    work: Work,
}

/// Vectors in full, without codes
#[derive(Args, Debug)]
struct NoneArgs {
    /// Allow rows of which nothing but codes is kept to become what those decode to
    #[arg(long)]
    lossy: bool,
}

/// What a codec that was named is held to.
#[derive(Args, Debug)]
struct Policy {
    /// Refuse a codec by which searches find less than this share of the true 10 nearest, from 0 to 1
    #[arg(long, value_name = "R", value_parser = recall)]
    min_recall: Option<f32>,
    #[command(flatten)]
    work: Work,
}

#[derive(Args, Debug)]
struct Work {
    /// What is kept of the vectors, beside their codes
    #[arg(long, value_name = "WHAT", default_value = "full")]
    keep: ShownKeep,
    /// Allow rows of which nothing but codes is kept to be decoded and coded anew, which loses more of them
    #[arg(long)]
    lossy: bool,
    /// Threads to train with [default: one a core]
    #[arg(long, value_name = "T")]
    threads: Option<NonZeroU16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShownKeep {
    /// Vectors bit for bit: searches rank by them, and nothing is lost
    Full,
    /// Half floats, to rank by
    F16,
    /// Nothing: a vector is what its code decodes to, and says so
    None,
}

/// Bits of a number by itself.
fn scalar_bits(text: &str) -> Result<u8, &'static str> {
    text.parse().ok().filter(|bits| [4, 8, 16, 32].contains(bits)).ok_or("expected 4, 8, 16 or 32")
}

/// A share, from 0 to 1.
fn recall(text: &str) -> Result<f32, &'static str> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("expected a share from 0 to 1")
}

pub(crate) fn run(globals: &Globals, args: &CompressArgs) -> Result<(), Failure> {
    args.method.check()?;
    let request = args.method.request();
    let store = location::open_writing(globals)?;
    let dimension = store.storage_header().dimension;
    let progress = Progress::new();
    let report = store.compress(&request, &|now| progress.compression(now));
    progress.end();
    let report = report?;
    let seconds = progress.seconds();
    store.close()?;
    let outcome = Outcome::of(&request, &report, dimension, seconds);
    output::print(globals.json, &outcome, |out| outcome.write(out))
}

impl Method {
    /// Refuses what would be ignored.
    fn check(&self) -> Result<(), Failure> {
        let Self::Scalar(ScalarArgs { nbits, non_uniform, scope, bfloat16, .. }) = self else {
            return Ok(());
        };
        let has_levels = *nbits < 16;
        if *bfloat16 && *nbits != 16 {
            return Err(Failure::Usage("--bfloat16 goes with --nbits 16".to_owned()));
        }
        if !has_levels && (*non_uniform || matches!(scope, ShownScope::Global)) {
            return Err(Failure::Usage("--non-uniform and --scope go with --nbits 4 or 8".to_owned()));
        }
        Ok(())
    }

    fn request(&self) -> CompressRequest {
        match self {
            Self::Scalar(args) => {
                let scope = match args.scope {
                    ShownScope::Dimension => Scope::Dimension,
                    ShownScope::Global => Scope::Global,
                };
                let (nbits, uniform, brain) = (args.nbits, !args.non_uniform, args.bfloat16);
                args.policy.request(CodecSpec::Scalar { nbits, uniform, scope, brain })
            }
            Self::Product(args) => {
                let (m, nbits, rotate) = (args.m.get(), args.nbits, args.rotate);
                args.policy.request(CodecSpec::Product { m, nbits, rotate })
            }
            Self::Binary(args) => args.policy.request(CodecSpec::Binary { bits: args.bits }),
            Self::Transform(args) => args.policy.request(CodecSpec::Transform { bytes: args.bytes.get() }),
            Self::Auto(AutoArgs { min_recall, max_bytes, work }) => {
                let max_bytes = max_bytes.map(NonZeroUsize::get);
                work.request(Target::Auto { min_recall: *min_recall, max_bytes })
            }
            Self::None(args) => CompressRequest { lossy: args.lossy, ..CompressRequest::new(Target::None) },
        }
    }
}

impl Policy {
    fn request(&self, spec: CodecSpec) -> CompressRequest {
        CompressRequest { min_recall: self.min_recall, ..self.work.request(Target::Codec(spec)) }
    }
}

impl Work {
    fn request(&self, target: Target) -> CompressRequest {
        let keep = match self.keep {
            ShownKeep::Full => Keep::Full,
            ShownKeep::F16 => Keep::F16,
            ShownKeep::None => Keep::None,
        };
        let threads = self.threads.map_or_else(cores, |threads| threads.get().into());
        CompressRequest { keep, lossy: self.lossy, threads, ..CompressRequest::new(target) }
    }
}

/// One thread a core.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::recall;

    #[test]
    fn a_recall_is_a_share() {
        assert_eq!((recall("0"), recall("0.95"), recall("1")), (Ok(0.0), Ok(0.95), Ok(1.0)));
        for wrong in ["", "x", "-0.1", "1.01", "95", "NaN", "inf"] {
            assert!(recall(wrong).is_err(), "{wrong}");
        }
    }
}
