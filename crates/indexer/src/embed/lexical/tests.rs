//! The lexical embedder: what is near what, and that vectors are what a store takes.

use proptest::prelude::*;

use codegraph_vector::NodeMetadata;

use super::*;
use crate::language::Language;
use crate::node::NodeKind;

fn node<'a>(name: &'a str, signature: &'a str, body: &str) -> NodeText<'a> {
    NodeText {
        language: Language::Rust,
        kind: NodeKind::Function,
        name,
        qualified_name: name,
        docs: String::new(),
        signature,
        body: body.to_owned(),
    }
}

fn one(node: NodeText<'_>) -> Vec<f32> {
    LexicalEmbedder::default().embed_nodes(&[node]).unwrap().remove(0)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn the_node_that_shares_the_words_is_nearest() {
    let nodes = [
        node(
            "parse_config_file",
            "fn parse_config_file(path: &Path) -> Config",
            "{ toml::from_str(&read(path)) }",
        ),
        node("write_header", "fn write_header(out: &mut File)", "{ out.write_all(MAGIC) }"),
        node("Segment::row_count", "fn row_count(&self) -> usize", "{ self.rows }"),
        node("retry_with_backoff", "fn retry_with_backoff(attempts: u32)", "{ sleep(delay) }"),
    ];
    let embedder = LexicalEmbedder::default();
    let vectors = embedder.embed_nodes(&nodes).unwrap();
    let questions =
        ["parsing of the configuration", "writes a file's headers", "count rows", "back off and retry"];
    for (at, question) in questions.into_iter().enumerate() {
        let query = embedder.embed_query(question).unwrap();
        let scores: Vec<f32> = vectors.iter().map(|vector| cosine(&query, vector)).collect();
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        assert_eq!(best, Some(at), "{question}: {scores:?}");
    }
}

#[test]
fn vectors_of_the_same_text_are_the_same_for_ever() {
    // A change here makes every stored vector wrong: raise VERSION.
    let vector = one(node("open", "fn open(path: &Path) -> Result<Self>", "{ File::open(path) }"));
    let digest = vector.iter().fold(0_i64, |sum, x| sum * 31 % 1_000_003 + (x * 1e4).round() as i64);
    assert_eq!(digest, 935_028);
}

#[test]
fn rare_words_of_a_question_count_more_with_the_statistics_of_a_store() {
    let mut corpus = CorpusCounter::default();
    (0..50).for_each(|_| corpus.add("vector vector segment"));
    let weighed = LexicalEmbedder { corpus: Some(corpus.finish(50)) };
    let question = "vector checksum";
    let [common, rare] = ["vector", "checksum"].map(|name| one(node(name, "", "")));
    let query = weighed.embed_query(question).unwrap();
    assert!(cosine(&query, &rare) > cosine(&query, &common) + 0.3);
}

#[test]
fn a_question_without_words_is_refused_and_a_node_without_words_is_not() {
    let error = LexicalEmbedder::default().embed_query(" ?! ").unwrap_err();
    assert!(error.message().contains("no word"), "{error}");
    let vector = one(node("_", "_", "()"));
    assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-5);
}

proptest! {
    #[test]
    fn every_vector_has_length_one(name in "\\PC{0,40}", signature in "\\PC*", body in "\\PC*") {
        let vector = one(node(&name, &signature, &body));
        prop_assert_eq!(vector.len(), DIMENSION);
        prop_assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_second_look_prefers_what_is_named_as_asked() {
    let found = |name: &str, score| Match {
        node_id: 1,
        score,
        seqno: codegraph_vector::SeqNo(1),
        metadata: Some(NodeMetadata { name: Some(name.to_owned()), ..NodeMetadata::default() }),
        vector: None,
        exact: true,
    };
    let mut matches = [found("write_header", 0.50), found("read_footer", 0.48), found("header", 0.48)];
    matches[2].metadata = None;
    LexicalEmbedder::default().reconsider("reading the footer", &mut matches);
    assert!(matches[1].score > matches[0].score, "{matches:?}");
    assert_eq!(matches[2].score, 0.48, "nothing is known of it");
}
