//! Data that looks a little like code and its embeddings, made from a seed.

use crate::Rng;

const WORDS: &[&str] = &[
    "parse", "token", "graph", "node", "edge", "index", "vector", "search", "merge", "flush", "log", "read",
    "write", "commit", "cache", "lock", "queue", "route", "user", "order", "price", "mail", "file", "path",
];
const FOLDERS: &[&str] =
    &["src", "src/core", "src/net", "lib", "lib/util", "tests", "crates/größe/src", "app"];
const LANGUAGES: &[(&str, &str)] =
    &[("rust", "rs"), ("python", "py"), ("typescript", "ts"), ("go", "go"), ("java", "java")];

/// A vector of independent standard normal numbers.
pub fn vector(rng: &mut Rng, dimensions: usize) -> Vec<f32> {
    (0..dimensions).map(|_| rng.normal()).collect()
}

/// A vector of length 1, its direction uniform.
pub fn unit_vector(rng: &mut Rng, dimensions: usize) -> Vec<f32> {
    loop {
        if let Some(unit) = normalised(vector(rng, dimensions)) {
            return unit;
        }
    }
}

fn normalised(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= norm);
    vector.iter().all(|x| x.is_finite()).then_some(vector)
}

/// Unit vectors that crowd around a few centres, as embeddings do.
#[derive(Clone, Debug)]
pub struct Clusters {
    centres: Vec<Vec<f32>>,
    spread: f32,
}

impl Clusters {
    /// `count` random centres; samples lie about `spread` (0.0 = on it, 1.0 = hardly near) from one.
    pub fn new(rng: &mut Rng, dimensions: usize, count: usize, spread: f32) -> Self {
        Self { centres: (0..count).map(|_| unit_vector(rng, dimensions)).collect(), spread }
    }

    /// A unit vector near a random centre.
    pub fn sample(&self, rng: &mut Rng) -> Vec<f32> {
        let centre = rng.pick(&self.centres).clone();
        let noise = unit_vector(rng, centre.len());
        let near = centre.iter().zip(noise).map(|(c, n)| c + self.spread * n).collect();
        normalised(near).unwrap_or(centre)
    }
}

/// A word of a small vocabulary.
pub fn word(rng: &mut Rng) -> &'static str {
    WORDS[rng.below(WORDS.len())]
}

/// An identifier of one to three words, such as `read_token`.
pub fn identifier(rng: &mut Rng) -> String {
    let words: Vec<_> = (0..rng.between(1, 4)).map(|_| word(rng)).collect();
    words.join("_")
}

/// A language and the ending of its files.
pub fn language(rng: &mut Rng) -> (&'static str, &'static str) {
    *rng.pick(LANGUAGES)
}

/// A path such as `src/net/parse_node.rs`, of some two thousand possible.
pub fn path(rng: &mut Rng) -> String {
    let (folder, first, second) = (*rng.pick(FOLDERS), word(rng), word(rng));
    format!("{folder}/{first}_{second}.{}", language(rng).1)
}

/// Up to `max_words` words, as the text of a piece of code; may be empty.
pub fn text(rng: &mut Rng, max_words: usize) -> String {
    let words: Vec<_> = (0..rng.below(max_words + 1)).map(|_| word(rng)).collect();
    words.join(" ")
}
