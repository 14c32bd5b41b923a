//! The built-in embedder: the words of a node, weighed, in 384 dimensions. It needs no network and no model.
//!
//! It is *lexical*: it finds code by the words that it shares with the question, other spellings and endings of them
//! included, and knows nothing of what they mean. A node's terms are weighed by where they stand (its name most)
//! and how often, as BM25F does (Robertson, Zaragoza and Taylor, 2004), and added up as sparse random
//! directions (Achlioptas, 2003; Kane and Nelson, 2014), so that the cosine of two vectors is, but for some noise,
//! that of the weighed terms. All weights were measured; see `BENCHMARKS.md`.

mod corpus;

pub(crate) use corpus::{CorpusCounter, CorpusStatistics};

use std::cell::RefCell;

use codegraph_vector::words::{each_term, id};
use codegraph_vector::{EmbedderId, Error, Match, PersistentVectorStore, Result};

use super::{Embedder, NodeText};
use crate::search::qualified_name;
use crate::words::{MOST_COMMON, place_among_most_common, weight};

/// Dimensions of its vectors.
const DIMENSION: usize = 384;
/// Dimensions that a term is spread over.
const SPREAD: usize = 32;
/// Nodes in one call: enough that a call costs nothing, few enough that threads share the work evenly.
const BATCH: usize = 256;
/// To be raised when the vectors of the same texts change.
const VERSION: &str = "1";

/// What a term counts for in each part of a node.
const NAME: f32 = 10.0;
const QUALIFIED_NAME: f32 = 3.0;
const DOCS: f32 = 1.0;
const SIGNATURE: f32 = 1.0;
const BODY: f32 = 0.25;
/// A term that counts this much, in a node of usual length, weighs half of what it can weigh at most.
const SATURATION: f32 = 2.0;
/// How far the length of a node matters, from 0 to 1.
const LENGTH_NORMALISATION: f32 = 0.7;
/// Terms in a node of usual length.
const USUAL_LENGTH: f32 = 60.0;
/// How far a question's terms are weighed by their inverse document frequency: its exponent.
const RARITY: f32 = 0.6;
/// A term of a question counts so many times at most.
const MAX_REPEATS: f32 = 2.0;
/// What the names say, beside what the vectors say, in a second look at the best matches.
const NAMES_SHARE: f32 = 0.25;
/// Stands for a node without any words, such as `_`: a vector must not be zero.
const NO_WORDS: &str = "\0";

/// The built-in embedder.
#[derive(Debug, Default)]
pub(crate) struct LexicalEmbedder {
    corpus: Option<CorpusStatistics>,
}

thread_local! {
    /// A node's terms and what they count, kept between nodes for its memory.
    static COUNTS: RefCell<Vec<(u64, f32)>> = const { RefCell::new(Vec::new()) };
}

impl LexicalEmbedder {
    /// Ready to embed nodes; questions too, weighed with the store's statistics if it has any.
    ///
    /// # Errors
    /// Whatever the store fails with.
    pub(crate) fn open(store: Option<&PersistentVectorStore>) -> Result<Self> {
        Ok(Self { corpus: store.map(CorpusStatistics::of_store).transpose()?.flatten() })
    }

    /// The terms of a question in order, each with its weight.
    fn question(&self, text: &str) -> Vec<(u64, f32)> {
        let mut counts = Vec::new();
        count(text, 1.0, &mut counts);
        add_up(&mut counts);
        for (term, count) in &mut counts {
            *count = count.min(MAX_REPEATS) * self.rarity(*term).powf(RARITY);
        }
        counts
    }

    /// How rare a term of a question is: in this code, or, if that was never counted, in code at large.
    fn rarity(&self, term: u64) -> f32 {
        match &self.corpus {
            Some(corpus) => corpus.inverse_frequency(term),
            // The weights are fourth roots of frequencies by that of a rare term, which is about 10.
            None => 10.0 * weight(term).powi(4),
        }
    }
}

impl Embedder for LexicalEmbedder {
    fn id(&self) -> EmbedderId {
        EmbedderId {
            name: "lexical".to_owned(),
            version: VERSION.to_owned(),
            parameters: format!("dimension={DIMENSION}"),
        }
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn concurrency(&self) -> usize {
        usize::MAX
    }

    fn uses_corpus(&self) -> bool {
        true
    }

    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        Ok(COUNTS.with_borrow_mut(|counts| nodes.iter().map(|node| embed(node, counts)).collect()))
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        let terms = self.question(text);
        if terms.is_empty() {
            return Err(Error::invalid("there is no word in the question"));
        }
        Ok(project(terms.into_iter()))
    }

    /// A vector says what a node's terms are only roughly; the terms of its names are at hand, and exact.
    fn reconsider(&self, text: &str, matches: &mut [Match]) {
        let question = self.question(text);
        let length = question.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        let mut counts = Vec::new();
        for found in matches {
            let Some(metadata) = &found.metadata else { continue };
            counts.clear();
            count(metadata.name.as_deref().unwrap_or_default(), NAME, &mut counts);
            count(qualified_name(metadata).unwrap_or_default(), QUALIFIED_NAME, &mut counts);
            add_up(&mut counts);
            let (mut product, mut squares) = (0.0, 0.0);
            for &(term, count) in &counts {
                let weight = weight(term) * count / (count + SATURATION);
                squares += weight * weight;
                if let Ok(at) = question.binary_search_by_key(&term, |&(term, _)| term) {
                    product += weight * question[at].1;
                }
            }
            // Divided by the root of their length: long names are held against a node half as much as in a cosine.
            let names = if product > 0.0 { product / (length * squares.powf(0.25)) } else { 0.0 };
            found.score = (found.score + NAMES_SHARE * names) / (1.0 + NAMES_SHARE);
        }
    }
}

fn embed(node: &NodeText<'_>, counts: &mut Vec<(u64, f32)>) -> Vec<f32> {
    counts.clear();
    count(node.signature, SIGNATURE, counts);
    count(&node.body, BODY, counts);
    let length = counts.len() as f32 / USUAL_LENGTH;
    count(node.name, NAME, counts);
    count(node.qualified_name, QUALIFIED_NAME, counts);
    count(&node.docs, DOCS, counts);
    if counts.is_empty() {
        counts.push((id(NO_WORDS), 1.0));
    }
    add_up(counts);
    let half = SATURATION * (1.0 - LENGTH_NORMALISATION + LENGTH_NORMALISATION * length);
    project(counts.iter().map(|&(term, count)| (term, weight(term) * count / (count + half))))
}

/// Appends the terms of a text, each as often as it is there.
fn count(text: &str, each: f32, counts: &mut Vec<(u64, f32)>) {
    each_term(text, |_, term| counts.push((id(term), each)));
}

/// Makes of equal terms one.
fn add_up(counts: &mut Vec<(u64, f32)>) {
    counts.sort_unstable_by_key(|&(term, _)| term);
    counts.dedup_by(|(term, count), (kept, sum)| {
        let equal = term == kept;
        if equal {
            *sum += *count;
        }
        equal
    });
}

/// The sum of the terms' directions, of length 1. There has to be a term of positive weight.
///
/// The most common terms have a dimension each, so that they, which are in nearly every node, disturb no other; the
/// rest share the other dimensions.
fn project(terms: impl Iterator<Item = (u64, f32)>) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    for (term, weight) in terms {
        if let Some(own) = place_among_most_common(term) {
            vector[own] += weight;
            continue;
        }
        let mut state = term;
        // Each direction has length 1, or about that.
        let weight = weight / (SPREAD as f32).sqrt();
        for _ in 0..SPREAD {
            let random = split_mix(&mut state);
            let dimension = MOST_COMMON as u64 + (((random >> 32) * (DIMENSION - MOST_COMMON) as u64) >> 32);
            // The last bit is the sign: a branch on it would be guessed wrong every other time.
            vector[dimension as usize] += f32::from_bits(weight.to_bits() ^ (random as u32) << 31);
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

/// The next number of a SplitMix64 generator (Steele, Lea and Flood, 2014): the same on every machine, for ever.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
